"""Ranges from histograms, held against the definitions."""

import numpy as np
import pytest

from export.int8.activation_ranges import BINS, LEVELS, METHODS, SMALLEST, Histogram, choose_range


def histogram_of(values):
    values = np.abs(values)
    top = float(values.max())
    return Histogram(top, np.histogram(values, BINS, (0, top))[0].astype(np.int64))


RNG = np.random.default_rng(5)
NORMAL = RNG.standard_normal(50_000)
WITH_OUTLIER = np.concatenate([NORMAL, [12.0]])


def squared_error(values, top):
    step = top / LEVELS
    return float(((np.clip(np.rint(values / step), -LEVELS, LEVELS) * step - values) ** 2).mean())


def test_min_max_is_the_largest_magnitude():
    assert choose_range(histogram_of(WITH_OUTLIER), "min-max") == 12.0


def test_percentile_leaves_one_in_ten_thousand_out():
    chosen = choose_range(histogram_of(NORMAL), "percentile")
    assert chosen == pytest.approx(np.percentile(np.abs(NORMAL), 99.99), abs=2 * np.abs(NORMAL).max() / BINS)


def test_mse_is_as_good_as_a_search_over_the_values_themselves():
    chosen = choose_range(histogram_of(WITH_OUTLIER), "mse")
    best = min(squared_error(WITH_OUTLIER, top) for top in np.linspace(1, 12, 200))
    assert squared_error(WITH_OUTLIER, chosen) <= 1.02 * best  # candidates are a 256th of the range apart


def test_mse_and_entropy_clip_an_outlier_that_min_max_keeps():
    for method in ("mse", "entropy"):
        assert 2 < choose_range(histogram_of(WITH_OUTLIER), method) < 10


def test_entropy_is_not_min_max():
    """onnxruntime's own entropy method is: its histogram has as many bins as levels."""
    assert choose_range(histogram_of(NORMAL), "entropy") < 0.99 * choose_range(histogram_of(NORMAL), "min-max")


def test_entropy_keeps_an_even_distribution_whole():
    even = np.linspace(0, 1, 100_000)
    assert choose_range(histogram_of(even), "entropy") == pytest.approx(1.0, abs=0.01)


def divergence(values, top, bins=BINS):
    """Kullback-Leibler divergence by plain loops over the bins (Migacz 2017)."""
    counts = np.histogram(values, bins, (0, float(values.max())))[0].astype(float)
    kept = round(top / float(values.max()) * bins)
    true = counts[:kept].copy()
    true[-1] += counts[kept:].sum()
    quantised = np.zeros(kept)
    for level in range(LEVELS + 1):
        inside = [place for place in range(kept) if place * (LEVELS + 1) // kept == level]
        filled = [place for place in inside if counts[place] > 0]
        for place in filled:
            quantised[place] = sum(counts[other] for other in inside) / len(filled)
    p, q = true / true.sum(), quantised / quantised.sum()
    return sum(a * np.log(a / max(b, 1e-12)) for a, b in zip(p, q, strict=True) if a > 0)


def test_entropy_is_the_smallest_divergence():
    values = np.abs(WITH_OUTLIER)
    chosen = divergence(values, choose_range(histogram_of(values), "entropy"))
    assert all(chosen <= divergence(values, top) + 1e-9 for top in (12.0, 9.0, 3.0, 1.5))


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_of_zeros_gets_a_range_above_zero(method):
    assert choose_range(Histogram(0.0, np.zeros(BINS, np.int64)), method) == SMALLEST


@pytest.mark.parametrize("method", METHODS)
def test_one_value_alone_keeps_its_range(method):
    counts = np.zeros(BINS, np.int64)
    counts[-1] = 1000
    assert choose_range(Histogram(2.0, counts), method) == pytest.approx(2.0, abs=0.01)
