"""Trigger matching, over all orders in which frames and triggers can arrive."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.matching.timestamps import DeviceClock
from edge.cameras.matching.trigger_matching import (
    ArrivedFrame,
    FreeRunMatching,
    SoftwareTriggerMatching,
)
from tests.edge.cameras.matching.conftest import LATENCY_S, TIMEOUT_S, WINDOW_S, exposures, picture

# free run


def test_a_free_running_camera_takes_no_picture_for_a_message_that_comes_late() -> None:
    matching = FreeRunMatching(TIMEOUT_S, WINDOW_S)
    matching.expose(1, 10.0, 0.06)  # repeated by the line; by now the next part may be there
    matching.add(picture(10.02))
    ((exposure, found),) = matching.settle(10.03)

    assert (exposure, found.pixels) == (1, None)
    assert "found its message 60 ms late" in found.problem


def test_a_free_running_camera_gives_the_first_frame_begun_after_the_exposure() -> None:
    matching = FreeRunMatching(TIMEOUT_S, WINDOW_S)
    matching.expose(1, 10.0)
    matching.add(picture(9.99))
    assert matching.settle(10.1) == []
    matching.add(picture(10.02))
    matching.add(picture(10.05))

    assert exposures(matching.settle(10.2)) == [(1, 10.02)]


@pytest.mark.parametrize("next_due", [10.01, 10.02, 10.15])
def test_a_frame_begun_when_the_next_exposure_was_due_is_not_that_of_the_one_before(next_due: float) -> None:
    """The part before has moved on by then, or its light is off."""
    matching = FreeRunMatching(TIMEOUT_S, WINDOW_S)
    matching.expose(1, 10.0)
    matching.expose(2, next_due)
    matching.add(picture(next_due + 0.005))

    (first, second) = matching.settle(10.2)
    assert first[1].pixels is None
    assert "when the next exposure was due already" in first[1].problem
    assert exposures([second]) == [(2, next_due + 0.005)]


def test_the_repeated_message_of_an_earlier_part_costs_the_one_before_it_nothing() -> None:
    matching = FreeRunMatching(TIMEOUT_S, WINDOW_S)
    matching.expose(1, 10.5)
    matching.expose(2, 10.55, 0.55)
    matching.add(picture(10.52))

    assert exposures(matching.settle(10.56)) == [(1, 10.52), (2, None)]


def test_a_part_whose_message_comes_after_that_of_a_later_one_gets_no_frame() -> None:
    matching = FreeRunMatching(TIMEOUT_S, late_s=0.2)
    matching.expose(1, 10.1)
    matching.add(picture(10.12))
    assert exposures(matching.settle(10.13)) == [(1, 10.12)]
    matching.expose(2, 10.15, 0.15)
    matching.add(picture(10.16))

    ((_, found),) = matching.settle(10.17)
    assert found.pixels is None
    assert "found its message 150 ms late" in found.problem


def test_a_camera_that_stalls_during_a_part_s_exposures_gives_none_of_another_light() -> None:
    matching = FreeRunMatching(TIMEOUT_S, WINDOW_S)
    for exposure in (1, 2, 3):
        matching.expose(exposure, 10.0, after_s=0.04 * (exposure - 1))
    matching.add(picture(10.02))
    matching.add(picture(10.09))  # two frames were lost

    assert exposures(matching.settle(10.2)) == [(1, 10.02), (2, None), (3, 10.09)]


def test_an_exposure_without_a_frame_is_answered_in_time() -> None:
    matching = FreeRunMatching(TIMEOUT_S, WINDOW_S)
    matching.expose(1, 10.0)
    assert matching.settle(10.99) == []
    ((exposure, found),) = matching.settle(11.0)

    assert (exposure, found.pixels) == (1, None)
    assert "no frame within 1000 ms" in found.problem


@dataclass(frozen=True)
class Sent:
    """One frame of a simulated camera, with the truth about it."""

    began: float
    delay: float
    held_up: float


frames = st.lists(
    st.builds(
        Sent,
        began=st.floats(0, 0.03),  # the gap to the one before
        delay=st.floats(0.01, LATENCY_S),
        held_up=st.sampled_from([0.0, 0.0, 0.0, 0.5, 3.0]),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(frames, st.lists(st.floats(0, 3), max_size=8), st.floats(-1e6, 1e6))
def test_no_exposure_gets_a_frame_begun_before_it_even_if_frames_are_held_up(
    sent: list[Sent], triggers: list[float], device_clock: float
) -> None:
    """The claim that matters: whatever is late, a part never gets the picture of the part before it."""
    matching, stamps = FreeRunMatching(TIMEOUT_S, WINDOW_S), DeviceClock(LATENCY_S)
    arrivals: list[tuple[float, float]] = []  # (arrived, truly begun)
    began = arrived = 0.0
    for frame in sent:
        began += frame.began
        arrived = max(arrived, began + frame.delay + frame.held_up)
        arrivals.append((arrived, began))
    stamps.began(device_clock - 1.0, 0.01 - 1.0)  # one frame came through undisturbed before
    events = sorted([(at, "trigger", 0.0) for at in triggers] + [(at, "frame", begun) for at, begun in arrivals])
    asked: dict[int, float] = {}
    truth: dict[float, float] = {}
    answered: list[tuple[int, ArrivedFrame]] = []
    for at, event, begun in events:
        if event == "trigger":
            asked[len(asked) + 1] = at
            matching.expose(len(asked), at)
        else:
            found = picture(stamps.began(device_clock + begun, at), at)
            truth[at] = begun
            matching.add(found)
        answered += matching.settle(at)
    answered += matching.settle(1e9)

    assert [exposure for exposure, _ in answered] == list(asked)
    given_out = [found for _, found in answered if found.pixels is not None]
    assert len({id(found) for found in given_out}) == len(given_out)
    for exposure, found in answered:
        if found.pixels is not None:
            assert truth[found.arrived] >= asked[exposure] - 1e-6  # rounding of a clock that stands at 1e6 s


def test_without_stamps_a_frame_counts_as_begun_the_latency_before_it_arrived() -> None:
    assert DeviceClock(0.05).began(None, 10.0) == pytest.approx(9.95)


def test_a_device_clock_that_drifts_is_followed() -> None:
    stamps = DeviceClock(0.0)
    drift = 1e-4
    errors = [stamps.began(at * (1 + drift), at) - at for at in range(0, 100_000, 5)]

    assert max(map(abs, errors)) <= 15 * drift  # the window of 10 s, and a step of 5 s


# hardware trigger


# software trigger


def software() -> SoftwareTriggerMatching:
    return SoftwareTriggerMatching(TIMEOUT_S, WINDOW_S)


def test_a_message_that_comes_late_does_not_trigger_the_camera() -> None:
    matching = software()
    matching.expose(1, 10.0, 0.06)  # repeated by the line; by now the next part may be there
    assert matching.due_at() is None
    ((exposure, found),) = matching.settle(10.0)

    assert (exposure, found.pixels) == (1, None)


def test_a_software_trigger_gets_the_frame_that_follows_it() -> None:
    matching = software()
    assert matching.idle
    matching.expose(1, 10.0)
    assert matching.due_at() == 10.0
    matching.sent(10.001)
    assert matching.due_at() is None
    matching.add(picture(10.002))

    assert exposures(matching.settle(10.03)) == [(1, 10.002)]


def test_the_next_trigger_waits_for_the_frame_before_but_not_for_long() -> None:
    matching = software()
    for exposure, at in ((1, 10.0), (2, 10.005), (3, 10.03)):
        matching.expose(exposure, at)
    matching.sent(10.0)
    matching.add(picture(10.01))

    assert exposures(matching.settle(10.04)) == [(1, 10.01), (2, None)]
    assert matching.due_at() == 10.03  # the third has waited for 10 ms only


def test_further_exposures_of_a_part_wait_for_their_time_and_for_the_frame_before() -> None:
    matching = software()
    for exposure in (1, 2, 3):
        matching.expose(exposure, 10.0, 0.01, after_s=0.05 * (exposure - 1))
    matching.sent(10.0)
    matching.add(picture(10.02))

    assert exposures(matching.settle(10.03)) == [(1, 10.02)]
    assert matching.due_at() == pytest.approx(10.04)
    matching.sent(10.04)
    assert matching.due_at() is None
    matching.add(picture(10.06))
    assert exposures(matching.settle(10.07)) == [(2, 10.06)]
    assert matching.due_at() == pytest.approx(10.09)


def test_an_exposure_that_could_not_be_triggered_before_the_next_one_is_given_up() -> None:
    matching = software()
    for exposure in (1, 2, 3):
        matching.expose(exposure, 10.0, after_s=0.01 * (exposure - 1))
    matching.sent(10.0)
    matching.add(picture(10.02))

    assert exposures(matching.settle(10.021)) == [(1, 10.02), (2, None)]
    assert matching.due_at() == pytest.approx(10.02)


@pytest.mark.parametrize("late_by", [0.0, 5.0])
def test_after_a_miss_frames_can_no_longer_be_told_apart(late_by: float) -> None:
    matching = software()
    matching.expose(1, 10.0)
    matching.sent(10.0)

    assert exposures(matching.settle(11.0 + late_by)) == [(1, None)]
    assert "of a trigger" in matching.fault


def test_a_frame_without_a_trigger_is_a_fault() -> None:
    matching = software()
    matching.add(picture(10.0))

    assert "without a trigger" in matching.fault
    assert matching.unclaimed == 1
