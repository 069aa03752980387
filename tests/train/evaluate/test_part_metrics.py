from dataclasses import replace

import numpy as np
import pytest

from tests.train.evaluate.test_metrics import CLASSES, ROWS
from train.errors import DataError
from train.evaluate.metrics import measure
from train.evaluate.part_metrics import group, measure_parts, worst
from train.evaluate.rates import area_under_roc, cluster_interval, escapes_at, false_rejects_at
from train.evaluate.tables import sentences

PARTS = ("a", "a", "b", "c", "c")
"""Of `ROWS`: a defective part found in one of two views, one found, a good one rejected in one of two views."""


def by_part(parts=PARTS):
    return measure([replace(row, part=part) for row, part in zip(ROWS, parts, strict=True)], CLASSES).parts


def test_a_part_is_as_bad_as_its_worst_view() -> None:
    parts = by_part()
    assert (parts.parts, parts.good, parts.most_views) == (3, 1, 2)
    assert (parts.escapes.count, parts.escapes.total) == (0, 2)
    assert (parts.false_rejects.count, parts.false_rejects.total) == (1, 1)


def test_with_one_view_each_parts_are_pictures() -> None:
    metrics, parts = measure(ROWS, CLASSES), by_part("vwxyz")
    assert (parts.escapes, parts.false_rejects) == (metrics.escapes, metrics.false_rejects)
    assert parts.average_precision == metrics.union.average_precision
    assert parts.false_rejects_at_no_escape == metrics.false_rejects_at_no_escape
    assert parts.escapes_at_few_false_rejects == metrics.escapes_at_few_false_rejects


def test_pictures_of_one_name_with_other_classes_are_another_part() -> None:
    labels = np.array([[True, False], [False, False], [True, False], [False, True]])
    assert group(["a", "a", "a", "a"], labels).tolist() == [0, 1, 0, 2]


def test_without_names_there_are_no_measures_by_part() -> None:
    assert measure(ROWS, CLASSES).parts is None
    assert measure(ROWS, CLASSES).named("parts.escapes.value") == -np.inf


def test_the_worst_of_several_views_is_the_largest() -> None:
    numbers = np.array([1, 0, 1, 0])
    assert worst(np.array([0.1, 0.2, 0.9, 0.05]), numbers).tolist() == [0.2, 0.9]
    assert worst(np.array([[1, 0], [0, 0], [0, 1], [0, 0]], dtype=bool), numbers).tolist() == [
        [False, False],
        [True, True],
    ]


def test_intervals_of_pictures_draw_whole_parts() -> None:
    labels = np.repeat([[True], [False]], 12, axis=0)
    names = [f"tile-{number // 6}" for number in range(24)]
    rejected = np.repeat([True, False, False, False], 6)  # one of two defective parts passes, in all six views
    parts = measure_parts(names, labels, rejected, np.linspace(0, 1, 24, dtype=np.float32)[:, None])
    assert parts.escaped_pictures == (0.0, 1.0)  # as if there were two pictures, not twelve
    assert parts.rejected_pictures == pytest.approx((0.0, 0.842), abs=1e-3)  # none of two parts, exact interval


def test_an_interval_without_a_part_is_refused() -> None:
    with pytest.raises(DataError, match="found no part"):
        cluster_interval([], [])


def test_one_kind_of_mistake_is_read_off_where_the_other_is_rare() -> None:
    defective = np.array([True] * 4 + [False] * 20)
    scores = np.array([0.9, 0.8, 0.5, 0.2, 0.85, *np.linspace(0, 0.4, 19)])
    assert escapes_at(defective, scores) == 0.25  # one of 20 good ones may be rejected: the threshold lies above 0.4
    assert escapes_at(defective, scores, limit=0) == 0.75
    assert false_rejects_at(defective, scores, limit=0.25) == pytest.approx(1 / 20)
    assert false_rejects_at(defective, scores, limit=0) == pytest.approx(11 / 20)


@pytest.mark.parametrize("defective", [True, False])
def test_one_kind_of_case_alone_gives_no_operating_point(defective: bool) -> None:
    assert escapes_at(np.array([defective]), np.array([0.5])) is None
    assert false_rejects_at(np.array([defective]), np.array([0.5])) is None


def test_sentences_say_both() -> None:
    rows = [replace(row, part=part) for row, part in zip(ROWS, PARTS, strict=True)]
    text = "\n".join(sentences(measure(rows, CLASSES)))
    assert "escapes 1 of 3" in text
    assert "by part, of up to 2 views each: escapes 0 of 2" in text


def test_with_one_view_each_parts_are_not_said_again() -> None:
    rows = [replace(row, part=str(number)) for number, row in enumerate(ROWS)]
    assert not [line for line in sentences(measure(rows, CLASSES)) if "by part" in line]


def test_an_interval_of_equal_draws_is_the_exact_one_of_the_parts() -> None:
    """Nineteen images of six parts, none of them wrong, say as much as six parts."""
    assert cluster_interval([0] * 6, [4, 3, 3, 3, 3, 3]) == (0.0, pytest.approx(1 - 0.025 ** (1 / 6)))
    assert cluster_interval([2], [2]) == (pytest.approx(0.025), 1.0)


def test_area_under_roc_counts_pairs_and_ties_half() -> None:
    defective = np.array([True, True, False, False])
    assert area_under_roc(defective, np.array([0.9, 0.4, 0.4, 0.1])) == (3 + 0.5) / 4
    assert area_under_roc(np.zeros(4, np.bool_), np.arange(4.0)) is None
