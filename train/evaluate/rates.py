"""Shares of counted cases with their 95 % intervals, and operating points of a score."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, mannwhitneyu  # type: ignore[import-untyped]

from bundle import FrozenModel
from train.errors import DataError

FEW = 0.05
"""The share of mistakes of one kind at which the other kind is compared: usual in acceptance tests of inspection."""

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)
"""Percentiles."""


class Rate(FrozenModel):
    """A share of counted cases with its exact 95 % interval (Clopper and Pearson, 1934)."""

    count: int
    total: int
    value: float | None
    low: float
    high: float

    @property
    def counts(self) -> str:
        """The counted cases in words; a dash where there are none."""
        return f"{self.count} of {self.total}" if self.total else "-"


def rate(count: int, total: int, confidence: float = 0.95) -> Rate:
    """The share count / total with its exact (Clopper-Pearson) interval."""
    low, high = _exact(count, total, confidence)
    return Rate(count=count, total=total, value=count / total if total else None, low=low, high=high)


def cluster_interval(wrong: Sequence[int], images: Sequence[int]) -> tuple[float, float]:
    """The 95 % interval of the share of wrong images over some parts, by the percentile bootstrap (Efron, 1979).

    wrong, images: per part. Whole parts are drawn with replacement, always the same ones for the same counts. Where
    every draw has the same share, such as no wrong image at all, the draws say nothing of the next part: then the exact
    interval of that share over as many parts. Raises DataError without a part.
    """
    counts = np.array([wrong, images]).T  # [parts, 2]
    if not len(counts):
        raise DataError("interval: found no part, expected at least one")
    drawn = np.random.default_rng(0).integers(len(counts), size=(_RESAMPLES, len(counts)))
    wrong_drawn, images_drawn = counts[drawn].sum(axis=1).T
    low, high = np.percentile(wrong_drawn / images_drawn, _INTERVAL)
    return (float(low), float(high)) if low < high else _exact(float(low) * len(counts), len(counts))


def _exact(count: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson interval of the share count / total, 0 to 1."""
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high


def area_under_roc(defective: NDArray[np.bool_], scores: NDArray[np.floating]) -> float | None:
    """Probability that a defective case scores above a good one, ties half (Mann and Whitney, 1947).

    defective bool [N]; scores [N], the largest of each case. None without good or defective cases.
    """
    bad, good = scores[defective], scores[~defective]
    return float(mannwhitneyu(bad, good).statistic / (len(bad) * len(good))) if len(bad) and len(good) else None


def escapes_at(defective: NDArray[np.bool_], scores: NDArray[np.floating], limit: float = FEW) -> float | None:
    """The share of defective cases passed by the lowest threshold that rejects at most the share `limit` of good ones.

    defective bool [N]; scores [N], the largest of each case. The threshold is set on these very cases: what the scores
    could do. None without good or defective cases.
    """
    bad, good = scores[defective], scores[~defective]
    if not len(bad) or not len(good):
        return None
    allowed = int(limit * len(good) + 1e-9)
    return float((bad <= np.sort(good)[::-1][allowed]).mean()) if allowed < len(good) else 0.0


def false_rejects_at(defective: NDArray[np.bool_], scores: NDArray[np.floating], limit: float = FEW) -> float | None:
    """The share of good cases rejected by the highest threshold that passes at most `limit` of the defective ones.

    As `escapes_at`; with the limit 0 no defective case escapes.
    """
    bad, good = scores[defective], scores[~defective]
    if not len(bad) or not len(good):
        return None
    allowed = int(limit * len(bad) + 1e-9)
    return float((good >= np.sort(bad)[allowed]).mean()) if allowed < len(bad) else 0.0
