"""The faults of a run."""

from itertools import pairwise

import pytest

from tools.fault_rig.scenarios.plan import PLACES, SETTLE_S, draw_plan

HOUR_S = 3600.0


def test_the_same_seed_gives_the_same_faults() -> None:
    assert draw_plan(1, HOUR_S) == draw_plan(1, HOUR_S)
    assert draw_plan(1, HOUR_S) != draw_plan(2, HOUR_S)


def test_every_kind_strikes_in_an_hour() -> None:
    assert {fault.kind for fault in draw_plan(1, HOUR_S)} == {kind.name for place in PLACES for kind in place.kinds}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_place_has_one_fault_at_a_time(place: object) -> None:
    faults = [fault for fault in draw_plan(1, HOUR_S, density=10) if fault.place == place.name]  # type: ignore[attr-defined]

    assert all(before.ends_s < after.begins_s for before, after in pairwise(faults))


def test_a_run_begins_and_ends_without_faults() -> None:
    plan = draw_plan(1, 600.0, density=50)

    assert min(fault.begins_s for fault in plan) > SETTLE_S
    assert max(fault.ends_s for fault in plan) <= 600 - SETTLE_S


def test_without_density_there_is_no_fault() -> None:
    assert draw_plan(1, HOUR_S, density=0.0) == []


def test_a_density_multiplies_the_rate_of_the_faults() -> None:
    usual, dense = (len(draw_plan(1, 20 * HOUR_S, density)) for density in (1.0, 3.0))

    assert dense / usual == pytest.approx(3, rel=0.1)  # the faults themselves take a few per cent of the time
