"""Outputs of pictures whose parts are judged together."""

import numpy as np
import pytest

from bundle import Threshold, mean_odds
from train.data.image_set import ImageSet
from train.errors import DataError
from train.evaluate.outputs import Outputs, evaluate, judged_together

SCORES = np.float32([[0.9, 0.1], [0.2, 0.3], [0.6, 0.2], [0.5, 0.5], [0.1, 0.7]])
DEFECTIVE = np.array([[True, False], [False, False], [True, False], [False, False], [False, False]])


def outputs() -> Outputs:
    return Outputs(SCORES.copy(), np.arange(10, dtype=np.uint8).reshape(5, 2, 1, 1))


def images(*parts: str) -> ImageSet:
    pixels = np.zeros((5, 1, 1, 1), np.uint8)
    return ImageSet(pixels, pixels, DEFECTIVE, np.ones_like(DEFECTIVE), parts)


def test_the_exposures_of_a_part_get_one_score() -> None:
    """As at the line, which knows no labels: also where the defect is labelled in some of them alone."""
    found = judged_together(outputs(), images("a", "a", "a", "b", "b"), "mean-odds")

    np.testing.assert_array_equal(found.scores[:3], [mean_odds(SCORES[:3])] * 3)
    np.testing.assert_array_equal(found.scores[3:], [mean_odds(SCORES[3:])] * 2)
    np.testing.assert_array_equal(found.masks, outputs().masks)


def test_twice_is_as_once() -> None:
    parts = images("a", "a", "a", "b", "b")
    once = judged_together(outputs(), parts, "mean-odds")

    np.testing.assert_allclose(judged_together(once, parts, "mean-odds").scores, once.scores, atol=1e-6)


def test_the_worst_leaves_them_as_they_are() -> None:
    given = outputs()

    assert judged_together(given, images("a", "a", "a", "b", "b"), "worst") is given


def test_figures_by_part_are_those_of_the_parts_judged_together() -> None:
    """Odds of the good part b: 1 and 1/9 of one class, 1 and 7/3 of the other; its mean of 1.67 is a score of 0.625."""
    shown, limits = images("a", "c", "a", "b", "b"), {"Pit": Threshold(score=0.65), "Dent": Threshold(score=0.65)}

    apart = evaluate(outputs(), shown, limits, ("Pit", "Dent")).parts
    together = evaluate(judged_together(outputs(), shown, "mean-odds"), shown, limits, ("Pit", "Dent")).parts

    assert apart is not None
    assert together is not None
    assert (apart.false_rejects.counts, together.false_rejects.counts) == ("1 of 2", "0 of 2")
    assert (apart.escapes.counts, together.escapes.counts) == ("0 of 1", "0 of 1")


def test_without_the_names_of_parts_nothing_is_judged_together() -> None:
    with pytest.raises(DataError, match='found images without the names of their parts; use "worst"'):
        judged_together(outputs(), images(), "mean-odds")
