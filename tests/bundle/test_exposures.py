"""Exposures judged together: the mean of their odds, and the manifest that says so."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bundle import BundleFormat, load_bundle, mean_odds
from bundle.manifest import read_manifest
from tests.conftest import tiny_manifest

SCORES = arrays.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(0, 1, width=32))


def test_the_odds_are_the_mean_of_the_exposures() -> None:
    odds = np.array([[3.0, 0.0], [1.0, 0.25]])

    found = mean_odds((odds / (1 + odds)).astype(np.float32))

    assert found.dtype == np.float32
    assert found / (1 - found) == pytest.approx([2.0, 0.125], rel=1e-5)


@given(SCORES)
def test_a_sure_exposure_is_not_outvoted(scores: np.ndarray) -> None:
    """Between the largest score and the one with an Nth of its odds."""
    strongest = scores.astype(np.float64).max(axis=0)
    count = len(scores)
    least = strongest / (strongest + count * (1 - strongest))

    found = mean_odds(scores)

    assert (found <= strongest + 1e-6).all()
    assert (found >= least - 1e-6).all()


def test_a_certain_exposure_stays_certain() -> None:
    assert mean_odds(np.float32([[1.0], [0.0], [0.5]])) == [1.0]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_none(broken: float) -> None:
    found = mean_odds(np.float32([[0.2, 0.2], [broken, 0.2]]))

    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0.2)


def test_a_bundle_whose_exposures_are_judged_apart_is_as_before() -> None:
    assert tiny_manifest().version == 1
    assert "exposures" not in json.loads(tiny_manifest().to_json())


def test_the_rule_is_kept_and_needs_a_format_of_its_own(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(exposures="mean-odds")
    assert load_bundle(folder).manifest.exposures == "mean-odds"

    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == 4
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))
    with pytest.raises(BundleFormat, match=r"format: found 1, expected 4, as input\.tiles, first_stage and exposures"):
        read_manifest(folder)
