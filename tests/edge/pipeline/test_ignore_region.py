from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Crop, FrameError, InputSpec, MaskSize
from edge.errors import LineConfigError
from edge.pipeline.ignore_region import IgnoreRegion, load_ignore

SPEC, CELLS = InputSpec(height=16, width=12, channels=1), MaskSize(height=8, width=6)


def region(rows: slice, columns: slice, shape: tuple[int, int] = (16, 12), spec: InputSpec = SPEC) -> IgnoreRegion:
    mask = np.zeros(shape, np.uint8)
    mask[rows, columns] = 255
    return IgnoreRegion(mask, spec, CELLS)


def outputs() -> tuple[np.ndarray, np.ndarray]:
    """One class, its maximum in cell (2, 1), a weaker cell at (6, 5)."""
    masks = np.zeros((1, 8, 6), np.uint8)
    masks[0, 2, 1], masks[0, 6, 5] = 230, 102
    return np.array([0.9], np.float32), masks


def test_what_lies_in_the_region_does_not_count() -> None:
    scores, masks = region(slice(4, 6), slice(2, 4)).apply(*outputs(), frame=(16, 12))

    assert masks[0, 2, 1] == 0
    assert masks[0, 6, 5] == 102
    assert scores[0] == pytest.approx(0.4)


def test_what_lies_beside_it_counts_as_before() -> None:
    scores, masks = region(slice(8, 10), slice(2, 4)).apply(*outputs(), frame=(16, 12))

    assert np.array_equal(masks, outputs()[1])
    assert scores[0] == np.float32(0.9)


def test_a_cell_that_is_covered_in_part_counts() -> None:
    scores, _ = region(slice(4, 6), slice(2, 3)).apply(*outputs(), frame=(16, 12))

    assert scores[0] == np.float32(0.9)


def test_the_region_is_cropped_like_the_frame() -> None:
    spec = SPEC.model_copy(update={"crop": Crop(x=10, y=20, width=12, height=16)})

    scores, _ = region(slice(24, 26), slice(12, 14), (40, 30), spec).apply(*outputs(), frame=(40, 30, 3))

    assert scores[0] == pytest.approx(0.4)


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(FrameError, match="found a frame of 20x16, expected 12x16"):
        region(slice(0, 2), slice(0, 2)).apply(*outputs(), frame=(16, 20))


def test_a_region_is_read_from_a_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "ignore.png"), np.full((16, 12), 255, np.uint8))

    scores, _ = load_ignore(tmp_path / "ignore.png", SPEC, CELLS).apply(*outputs(), frame=(16, 12))

    assert scores[0] == 0


def test_a_region_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(LineConfigError, match=r"none\.png"):
        load_ignore(tmp_path / "none.png", SPEC, CELLS)
