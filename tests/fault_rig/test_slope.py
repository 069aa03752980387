"""Slope of a time series with its uncertainty."""

import numpy as np
import pytest

from tools.fault_rig.results.slope import fit

TIMES_S = np.arange(0.0, 3600.0, 10.0)


def test_a_straight_line_has_its_slope_without_doubt() -> None:
    slope = fit(TIMES_S, 5 + 3 * TIMES_S / 3600)

    assert slope.per_hour == pytest.approx(3)
    assert slope.uncertainty == pytest.approx(0, abs=1e-9)


def test_noise_hides_no_slope_and_makes_none_up() -> None:
    rng = np.random.default_rng(1)
    slopes = [fit(TIMES_S, 3 * TIMES_S / 3600 + rng.normal(size=len(TIMES_S))) for _ in range(200)]
    off = [(slope.per_hour - 3) / slope.uncertainty for slope in slopes]

    assert np.std(off) == pytest.approx(1, abs=0.15)  # 200 draws: the deviation's own error is 5 %


def test_waves_count_as_fewer_witnesses_than_their_samples() -> None:
    rng = np.random.default_rng(1)
    waves = np.repeat(rng.normal(size=36), 10)  # a hundred seconds each

    assert fit(TIMES_S, waves).uncertainty > 2 * fit(TIMES_S, rng.permutation(waves)).uncertainty


def test_too_few_samples_say_nothing() -> None:
    assert np.isnan(fit([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]).per_hour)
