"""docs/architecture.md names files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w./]+/[\w./]*)`", TEXT)))


def test_the_document_names_files() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_the_document_names_exists(name: str) -> None:
    assert (ROOT / name).exists()
