"""Measures by part: a part is as bad as its worst view.

A line takes several pictures of a part, from several cameras or in several exposures, and rejects the part if it
rejects one of them. Exposures of one part are not independent either, so an interval that counts them as such is too
narrow: here whole parts are drawn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from bundle import FrozenModel
from train.evaluate.rates import Rate, area_under_roc, cluster_interval, escapes_at, false_rejects_at, rate


class PartMetrics(FrozenModel):
    """Measures over the parts of an evaluation. Pictures of one part with different classes count as different parts.

    So the good tile beside a defective one, which a data set may not tell apart, is judged on its own, and a defect
    must be found in a picture that shows it.
    """

    parts: int
    good: int
    most_views: int
    """Pictures of the part that has the most of them."""
    escapes: Rate
    """Defective parts passed in every view."""
    false_rejects: Rate
    """Good parts rejected in at least one view."""
    average_precision: float | None
    """Of the largest score in any view, defective or not."""
    area_under_roc: float | None = None
    """The same score; None in older files."""
    false_rejects_at_no_escape: float | None
    false_rejects_at_few_escapes: float | None
    """At 5 % escapes; see `rates.false_rejects_at`."""
    escapes_at_few_false_rejects: float | None
    """At 5 % false rejects; see `rates.escapes_at`."""
    escaped_pictures: tuple[float, float] | None
    """95 % interval of the share of defective pictures passed, with whole parts drawn."""
    rejected_pictures: tuple[float, float] | None
    """The same of the share of good pictures rejected."""


def group(parts: Sequence[str], labels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of the part that each picture shows, int [N]: pictures of one name and the same classes.

    parts: names, one per picture; labels bool [N, C]. Numbers count from 0 in the order of first appearance.
    """
    numbers: dict[tuple[str, bytes], int] = {}
    keys = [(part, row.tobytes()) for part, row in zip(parts, labels, strict=True)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def worst(values: NDArray[Any], numbers: NDArray[np.int64]) -> NDArray[Any]:
    """The largest of `values` [N, ...] over the views of each part, [parts, ...]; numbers as `group` gives them."""
    order = np.argsort(numbers, kind="stable")
    first = np.searchsorted(numbers[order], np.arange(numbers.max(initial=-1) + 1))
    found: NDArray[Any] = np.maximum.reduceat(values[order], first, axis=0)
    return found


def measure_parts(
    parts: Sequence[str], labels: NDArray[np.bool_], rejected: NDArray[np.bool_], scores: NDArray[np.float32]
) -> PartMetrics:
    """All measures by part of at least one picture.

    parts: names, one per picture. labels bool [N, C] the truth. rejected bool [N]. scores float32 [N, C].
    """
    numbers = group(parts, labels)
    truth = np.asarray(labels.any(axis=1))
    defective, thrown = worst(truth, numbers), worst(rejected, numbers)
    largest = worst(scores.max(axis=1), numbers)
    views, wrong = np.bincount(numbers), np.bincount(numbers[rejected != truth], minlength=len(defective))
    return PartMetrics(
        parts=len(views),
        good=int((~defective).sum()),
        most_views=int(views.max()),
        escapes=rate(int((~thrown & defective).sum()), int(defective.sum())),
        false_rejects=rate(int((thrown & ~defective).sum()), int((~defective).sum())),
        average_precision=float(average_precision_score(defective, largest)) if defective.any() else None,
        area_under_roc=area_under_roc(defective, largest),
        false_rejects_at_no_escape=false_rejects_at(defective, largest, 0),
        false_rejects_at_few_escapes=false_rejects_at(defective, largest),
        escapes_at_few_false_rejects=escapes_at(defective, largest),
        escaped_pictures=_interval(wrong, views, defective),
        rejected_pictures=_interval(wrong, views, ~defective),
    )


def _interval(
    wrong: NDArray[np.int64], views: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> tuple[float, float] | None:
    return cluster_interval(wrong[chosen].tolist(), views[chosen].tolist()) if chosen.any() else None
