"""Range of an INT8 tensor, chosen from a histogram of its magnitudes: the value that 127 stands for.

Quantisation is symmetric, so only magnitudes count. Narrow clips the largest values, wide makes the steps coarse.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from export.choices import Method

BINS = 2048
LEVELS = 127
"""Steps on one side of zero: -127 to 127, so that the range is symmetric."""

PERCENTILE = 99.99
"""Of the magnitudes; common since NVIDIA's 8-bit inference talk (Migacz, GTC 2017)."""

SMALLEST = 1e-4
"""A range below this (a tensor that is always 0) would give a scale that no float16 holds."""

_NARROWEST = 128
"""Bins of the narrowest candidate; with fewer, a bin is wider than a quantisation step."""

_STRIDE = 8
"""Bins between candidates, a 256th of the range."""


@dataclass(frozen=True)
class Histogram:
    """Counts of magnitudes over all calibration frames; bin i holds those from i to i + 1 times `top` / BINS."""

    top: float
    """The largest magnitude seen."""
    counts: NDArray[np.int64]
    """[BINS]"""


def choose_range(histogram: Histogram, method: Method) -> float:
    """Choose the magnitude that becomes 127."""
    if histogram.top <= SMALLEST:
        return SMALLEST
    return max(_METHODS[method](histogram), SMALLEST)


def _min_max(histogram: Histogram) -> float:
    return histogram.top


def _percentile(histogram: Histogram) -> float:
    """The upper edge of the bin that the percentile falls in."""
    reached = np.cumsum(histogram.counts) >= histogram.counts.sum() * PERCENTILE / 100
    return histogram.top * float(reached.argmax() + 1) / BINS


def _mse(histogram: Histogram) -> float:
    """The range of the smallest mean squared error."""
    centres = (np.arange(BINS) + 0.5) * histogram.top / BINS
    return _best(histogram, lambda bins: _squared_error(histogram.counts, centres, histogram.top * bins / BINS))


def _squared_error(counts: NDArray[np.int64], values: NDArray[np.float64], top: float) -> float:
    step = top / LEVELS
    rounded = np.minimum(np.rint(values / step), LEVELS) * step
    return float((counts * (values - rounded) ** 2).sum())


def _entropy(histogram: Histogram) -> float:
    """The range of the smallest Kullback-Leibler divergence of the quantised from the true distribution (Migacz 2017).

    The clipped values are added to the last bin of the true distribution and are missing in the quantised one.
    """
    return _best(histogram, lambda bins: _divergence(histogram.counts.astype(np.float64), bins))


def _divergence(counts: NDArray[np.float64], bins: int) -> float:
    inside = counts[:bins]
    true = inside.copy()
    true[-1] += counts[bins:].sum()
    level = np.arange(bins) * (LEVELS + 1) // bins  # which step a bin falls into
    filled = inside > 0
    sums, sizes = np.bincount(level, inside), np.bincount(level, filled)
    quantised = np.where(filled, (sums / np.maximum(sizes, 1))[level], 0)
    if not quantised.any():
        return float("inf")
    p, q = true / true.sum(), quantised / quantised.sum()
    p, q = p[true > 0], np.maximum(q[true > 0], 1e-12)  # a clipped bin of its own counts as all but impossible
    return float((p * np.log(p / q)).sum())


def _best(histogram: Histogram, cost: Callable[[int], float]) -> float:
    candidates = range(BINS, _NARROWEST - 1, -_STRIDE)  # from wide to narrow: of equals the widest
    return histogram.top * min(candidates, key=cost) / BINS


_METHODS: Mapping[Method, Callable[[Histogram], float]] = MappingProxyType(
    {"min-max": _min_max, "percentile": _percentile, "mse": _mse, "entropy": _entropy}
)
METHODS: tuple[Method, ...] = tuple(_METHODS)
