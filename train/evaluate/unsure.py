"""Escapes caught by `unsure_margin`, against the share of parts that need a second look.

A picture in which no class is found, but one would be with score thresholds lower by the margin, is UNSURE instead of
OK (`bundle.decide`). The curve over the margin says what that buys on pictures whose truth is known.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle import FrozenModel
from train.errors import DataError
from train.evaluate.part_metrics import group, worst
from train.evaluate.prediction import Prediction

MARGINS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


class UnsurePoint(FrozenModel):
    """One margin over all cases, which are pictures or parts."""

    margin: float
    cases: int
    sent: int
    """Cases that are UNSURE; those that are NG do not count."""
    caught: int
    """Defective ones among them, which would have escaped."""
    escapes: int
    """Defective cases passed without a margin."""


def unsure_curve(
    rows: Sequence[Prediction], by_part: bool, margins: Sequence[float] = MARGINS
) -> tuple[UnsurePoint, ...]:
    """One point per margin over the pictures, or over the parts by their worst view.

    Raises DataError where the predictions do not say how far from found a picture was, or of which part it is.
    """
    if any(row.lacking is None for row in rows) or (by_part and not all(row.part for row in rows)):
        raise DataError(
            "predictions: found pictures without `lacking` or `part`, which an earlier version wrote; write them again "
            "with `train evaluate --predictions`"
        )
    labels = np.stack([row.labels for row in rows])
    names = [row.part for row in rows] if by_part else [str(number) for number in range(len(rows))]
    numbers = group(names, labels)
    lacking = -worst(-np.array([row.lacking for row in rows], dtype=np.float64), numbers)  # of the strongest view
    defective = worst(np.asarray(labels.any(axis=1)), numbers)
    return tuple(_point(lacking, defective, margin) for margin in margins)


def _point(lacking: NDArray[np.float64], defective: NDArray[np.bool_], margin: float) -> UnsurePoint:
    passed = lacking > 0
    sent = passed & (lacking <= margin)
    return UnsurePoint(
        margin=margin,
        cases=len(lacking),
        sent=int(sent.sum()),
        caught=int((sent & defective).sum()),
        escapes=int((passed & defective).sum()),
    )
