"""Every part that is not proved good is under a pulse at the ejector, and no other place of the belt is."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.ejector.belt import U32, Belt
from edge.ejector.track import Fate, Track

DISTANCE, LENGTH = 1000, 40


@dataclass(frozen=True)
class Planned:
    """A part of a plan: where it lies behind the one before, and what is found out about it, when."""

    gap: int
    passes: bool
    judged_after: int
    """Counts from its trigger to its verdict."""


parts = st.lists(
    st.builds(Planned, st.integers(0, 300), st.booleans(), st.integers(0, DISTANCE - 1)), min_size=1, max_size=30
)
steps = st.lists(st.integers(-15, 15), min_size=1, max_size=20)
"""Belt movement between two steps, -15 to 15 counts; repeated until all parts have passed."""
starts = st.integers(0, U32 - 1)


def run(
    plan: list[Planned], moves: list[int], start: int, reject_unproved: bool = True, room: int = 1000
) -> tuple[dict[int, Fate], list[tuple[int, bool]], list[int]]:
    """Let a belt with these parts run past; returns fates, the output at each place that is reached first, places."""
    belt, track = Belt(coast_s=1.0, back=DISTANCE), Track(
        DISTANCE, LENGTH, timed=False, reject_unproved=reject_unproved, room=room
    )  # fmt: skip
    places = [sum(part.gap for part in plan[: number + 1]) for number in range(len(plan))]
    fates: dict[int, Fate] = {}
    seen: list[tuple[int, bool]] = []
    at, reached, triggered, judged, look = 0, -1, 0, set[int](), 0
    while reached <= places[-1] + DISTANCE + LENGTH:
        while triggered < len(plan) and places[triggered] <= at:
            belt.read((start + at) % U32, float(look))
            track.add(triggered, belt.place((start + places[triggered]) % U32))
            triggered += 1
        for number in range(triggered):
            if number not in judged and places[number] + plan[number].judged_after <= at:
                judged.add(number)
                fates |= dict(track.decide(number, plan[number].passes))
        belt.read((start + at) % U32, float(look))
        fates |= dict(track.advance(belt.at(float(look)), float(look)))
        if at > reached:
            seen.append((at, track.on))
        reached, look = max(reached, at), look + 1
        at += moves[look % len(moves)] if look < 200 else 7  # in the end it moves on
    return fates, seen, places


@settings(deadline=None, max_examples=60)
@given(parts, steps, starts)
def test_the_output_is_on_at_the_places_of_rejects_and_nowhere_else(
    plan: list[Planned], moves: list[int], start: int
) -> None:
    fates, seen, places = run(plan, moves, start)

    rejects = [place + DISTANCE for place, part in zip(places, plan, strict=True) if not part.passes]
    for at, on in seen:
        assert on is any(place <= at < place + LENGTH for place in rejects), at
    assert fates == {number: Fate.PASSED if part.passes else Fate.EJECTED for number, part in enumerate(plan)}


@settings(deadline=None, max_examples=60)
@given(parts, steps, starts, st.integers(1, 5))
def test_a_full_track_lets_no_reject_through(plan: list[Planned], moves: list[int], start: int, room: int) -> None:
    fates, seen, places = run(plan, moves, start, room=room)

    rejects = [place + DISTANCE for place, part in zip(places, plan, strict=True) if not part.passes]
    for at, on in seen:
        assert on or not any(place <= at < place + LENGTH for place in rejects), at
    assert fates.keys() == set(range(len(plan)))
    assert all(fates[number] is Fate.EJECTED for number, part in enumerate(plan) if not part.passes)


def track(**changes: object) -> Track:
    chosen = {"timed": False, "reject_unproved": True, "room": 100} | changes
    return Track(DISTANCE, LENGTH, **chosen)  # type: ignore[arg-type]


def test_what_is_not_proved_at_the_ejector_is_thrown_out() -> None:
    made = track()
    made.add(1, 0)

    assert made.advance(DISTANCE, 0.0) == [(1, Fate.EJECTED)]
    assert made.on
    assert made.decide(1, passes=True) == []


@pytest.mark.parametrize(("passes", "fate"), [(True, Fate.PASSED), (False, Fate.ESCAPED)])
def test_where_the_unproved_pass_a_late_reject_has_escaped(passes: bool, fate: Fate) -> None:
    made = track(reject_unproved=False)
    made.add(1, 0)

    assert made.advance(DISTANCE + 1, 0.0) == []
    assert not made.on
    assert made.decide(1, passes) == [(1, fate)]
    made.advance(DISTANCE + 2, 0.1)
    assert made.on is not passes  # the rest of its pulse


def test_a_belt_that_leaps_past_a_place_has_carried_the_part_away() -> None:
    made = track()
    made.add(1, 0)
    made.add(2, 500)
    made.decide(1, passes=False)
    made.decide(2, passes=False)

    assert made.advance(DISTANCE + 510, 0.0) == [(1, Fate.ESCAPED), (2, Fate.EJECTED)]
    assert made.on


def test_a_belt_that_creeps_back_behind_a_pulse_does_not_begin_it_again() -> None:
    made = track()
    made.add(1, 0)
    on = []
    for at in (DISTANCE, DISTANCE + LENGTH, DISTANCE + LENGTH - 5):
        made.advance(at, 0.0)
        on.append(made.on)

    assert on == [True, False, False]


def test_a_place_that_was_guessed_too_far_spoils_nothing_that_follows() -> None:
    made = track()
    made.add(1, 0)
    made.decide(1, passes=False)
    made.advance(1_000_000, 0.0)
    made.advance(100, 0.1)
    made.add(2, 100)
    made.decide(2, passes=False)

    assert made.advance(DISTANCE + 99, 0.2) == []
    assert made.advance(DISTANCE + 100, 0.3) == [(2, Fate.EJECTED)]
    assert made.on


def test_what_passes_while_the_output_is_held_on_is_ejected() -> None:
    made = track()
    made.add(1, 0)

    assert made.advance(2 * DISTANCE, 0.0, covered=True) == [(1, Fate.EJECTED)]


def test_what_lay_between_camera_and_ejector_at_the_start_is_thrown_out() -> None:
    made = track()
    made.distrust(0)
    made.add(1, 0)
    made.decide(1, passes=True)
    on = []
    for at in range(0, DISTANCE + 100, 10):
        made.advance(at, 0.0)
        on.append((at, made.on))

    assert on == [(at, at < DISTANCE) for at in range(0, DISTANCE + 100, 10)]


def test_when_the_encoder_restarts_all_that_is_not_proved_good_counts_as_escaped() -> None:
    made = track(reject_unproved=False)
    for key in range(4):
        made.add(key, key * 100)
    made.decide(1, passes=True)
    made.decide(2, passes=False)
    made.advance(DISTANCE, 0.0)  # part 0 is past without a verdict

    assert sorted(made.lose()) == [(0, Fate.ESCAPED), (2, Fate.ESCAPED), (3, Fate.ESCAPED)]
    assert (made.waiting, made.on) == (0, False)
    made.add(5, 0)
    assert made.advance(0, 1.0) == []


def test_a_timed_pulse_ends_by_the_clock_whatever_the_belt_does() -> None:
    made = Track(DISTANCE, 0.5, timed=True, reject_unproved=True, room=100)
    made.advance(DISTANCE - 1, 9.9)
    made.add(1, 0)
    fates = made.advance(DISTANCE, 10.0)
    on = [made.on]
    for now in (10.4, 10.6):
        made.advance(DISTANCE, now)
        on.append(made.on)

    assert fates == [(1, Fate.EJECTED)]
    assert on == [True, True, False]


def test_timed_pulses_that_overlap_are_joined() -> None:
    made = Track(DISTANCE, 0.5, timed=True, reject_unproved=True, room=100)
    made.add(1, 0)
    made.add(2, 10)
    on = []
    for step in range(12):
        made.advance(DISTANCE - 1 + step * 10 / 3, step / 10)
        on.append(made.on)

    assert on == [False, True, True, True, *[True] * 5, False, False, False]


def test_a_timed_pulse_that_may_come_too_late_is_an_escape() -> None:
    made = Track(DISTANCE, 0.5, timed=True, reject_unproved=True, room=100)
    made.advance(0, 0.0)
    made.add(1, 0)

    assert made.advance(DISTANCE + 400, 0.4) == [(1, Fate.ESCAPED)]


def test_a_full_timed_track_stays_on_for_all_that_its_newest_entry_stands_for() -> None:
    made = Track(DISTANCE, 0.1, timed=True, reject_unproved=True, room=1)
    assert made.add(1, 0)
    assert not made.add(2, 100)
    on = []
    for step in range(6):
        made.advance(DISTANCE + step * 25 - 0.5, step / 10)
        on.append(made.on)

    assert on == [False, True, True, True, True, False]
