"""The document of the cameras says what the code does."""

from pathlib import Path

import pytest

from edge.cameras.registry import FILES
from edge.commands.camera_options import COMMON, TABLE, fill_in

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cameras.md"


def test_the_options_in_the_document_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    assert text == fill_in(text), "run: python -m edge.commands.camera_options docs/cameras.md"


@pytest.mark.parametrize("name", [COMMON, *FILES])
def test_every_kind_is_in_the_document(name: str) -> None:
    assert name in [found[2] for found in TABLE.finditer(DOCUMENT.read_text(encoding="utf-8"))]
