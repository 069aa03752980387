"""A line, and two bundles that are released to it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bundle import Threshold
from edge.config.line import Line, load_line
from tests.conftest import CLASSES
from tests.edge.release.release_line import write_line

Make = Callable[..., Path]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return load_line(write_line(tmp_path))


@pytest.fixture
def bundles(make_bundle: Make) -> list[Path]:
    """Two bundles with different thresholds."""
    return [
        make_bundle(name, thresholds={one: Threshold(score=score) for one in CLASSES})
        for name, score in (("first", 0.8), ("second", 0.7))
    ]
