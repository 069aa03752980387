"""Shared fixtures of the edge tests: a running station."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bundle import Image, Threshold
from tests.conftest import CLASSES, grey_frame
from tests.edge.running_line import Run, RunningLine, run_line
from tests.edge.small_disk import mounted

pytest.register_assert_rewrite("tests.edge.line_keys", "tests.edge.threads")


@pytest.fixture
def run(make_bundle: Callable[..., Path], tmp_path: Path) -> Run:
    """Run a station on doubles: `run(frames, key=value, ...)`; the bundles `tiny` and `other` are there."""
    make_bundle()
    make_bundle("other", thresholds={name: Threshold(score=0.95, level=200, min_area_px=8) for name in CLASSES})

    def start(
        frames: Sequence[Image] = (grey_frame(),), *, doubles: dict[str, object] | None = None, **keys: object
    ) -> AbstractContextManager[RunningLine]:
        return run_line(tmp_path, frames, keys, **(doubles or {}))

    return start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    with mounted(tmp_path / "disk") as disk:
        yield disk
