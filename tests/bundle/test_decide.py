import numpy as np
import pytest

from bundle import Crop, FrameError, Geometry, InputSpec, Threshold, Verdict, decide

GEOMETRY = Geometry(input_height=16, input_width=12, x=0, y=0, width=24, height=32)  # a frame of twice the input's size
TWO = {"A": Threshold(score=0.5, level=128, min_area_px=8), "B": Threshold(score=0.8, level=128, min_area_px=0)}


def outputs(a: float = 0.0, b: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores with empty masks of 8 x 6 cells, each cell 4 input pixels."""
    return np.array([a, b], np.float32), np.zeros((2, 8, 6), np.uint8)


def test_nothing_found_is_ok() -> None:
    assert decide(*outputs(), TWO, GEOMETRY).verdict is Verdict.OK


def test_a_blob_that_is_large_enough_is_a_defect() -> None:
    scores, masks = outputs(a=0.9)
    masks[0, 2:4, 1:3] = 128  # exactly the level

    decision = decide(scores, masks, TWO, GEOMETRY)

    assert decision.verdict is Verdict.NG
    (defect,) = decision.defects
    assert (defect.class_name, defect.area_px) == ("A", 16)
    assert defect.box == (4, 8, 8, 8)  # x, y, width, height in frame pixels: cells are 4 x 4 there


@pytest.mark.parametrize(("score", "level", "cells"), [(0.49, 255, 4), (0.9, 127, 4), (0.9, 255, 1)])
def test_score_level_and_area_are_each_needed(score: float, level: int, cells: int) -> None:
    scores, masks = outputs(a=score)
    masks[0, 0, :cells] = level

    assert decide(scores, masks, TWO, GEOMETRY).verdict is Verdict.OK


def test_an_area_of_exactly_the_limit_counts() -> None:
    scores, masks = outputs(a=0.9)
    masks[0, 0, :2] = 255  # two cells, 8 input pixels

    assert decide(scores, masks, TWO, GEOMETRY).verdict is Verdict.NG


def test_small_blobs_are_not_added_up() -> None:
    scores, masks = outputs(a=0.9)
    masks[0, 0, [0, 2, 4]] = 255

    assert decide(scores, masks, TWO, GEOMETRY).verdict is Verdict.OK


def test_diagonal_cells_are_one_blob() -> None:
    scores, masks = outputs(a=0.9)
    masks[0, 0, 0] = masks[0, 1, 1] = 255

    assert decide(scores, masks, TWO, GEOMETRY).verdict is Verdict.NG


def test_without_a_smallest_area_the_score_alone_suffices() -> None:
    scores, masks = outputs(b=0.8)
    masks[1, 5, 3] = 100  # the maximum, below the level

    (defect,) = decide(scores, masks, TWO, GEOMETRY).defects

    assert (defect.class_name, defect.area_px, defect.box) == ("B", 0, (12, 20, 4, 4))


def test_the_strongest_class_comes_first() -> None:
    scores, masks = outputs(a=0.85, b=0.95)
    masks[0, :4] = 255
    masks[1, 0, 0] = 255

    assert [defect.class_name for defect in decide(scores, masks, TWO, GEOMETRY).defects] == ["B", "A"]


def test_within_the_margin_is_unsure() -> None:
    scores, masks = outputs(b=0.75)

    assert decide(scores, masks, TWO, GEOMETRY).verdict is Verdict.OK
    assert decide(scores, masks, TWO, GEOMETRY, unsure_margin=0.1).verdict is Verdict.UNSURE


def test_a_box_lies_within_the_crop() -> None:
    geometry = Geometry.of(InputSpec(height=16, width=12, channels=1, crop=Crop(x=5, y=7, width=12, height=16)), 99, 99)
    scores, masks = outputs(a=0.9)
    masks[0] = 255

    assert decide(scores, masks, TWO, geometry).defects[0].box == (5, 7, 12, 16)


def test_a_box_is_rounded_outwards() -> None:
    geometry = Geometry(16, 12, 0, 0, width=20, height=30)  # a cell is 3.33 x 3.75 frame pixels
    scores, masks = outputs(a=0.9)
    masks[0, 1:3, 1:3] = 255

    assert decide(scores, masks, TWO, geometry).defects[0].box == (3, 3, 7, 9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    scores, masks = outputs(a=bad)

    with pytest.raises(FrameError, match="finite"):
        decide(scores, masks, TWO, GEOMETRY)


def test_outputs_of_another_bundle_are_refused() -> None:
    scores, masks = outputs()

    with pytest.raises(FrameError, match=r"expected .* the engine is not this bundle"):
        decide(scores[:1], masks[:1], TWO, GEOMETRY)
