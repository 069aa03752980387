"""Trigger matching, over all orders in which frames and triggers can arrive."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.matching.timestamps import DeviceClock
from edge.cameras.matching.trigger_matching import (
    MISSES,
    ArrivedFrame,
    FreeRunMatching,
    HardwareTriggerMatching,
    SoftwareTriggerMatching,
)
from tests.edge.cameras.doubles import grey

TIMEOUT_S = 1.0
WINDOW_S = 0.02
LATE_S = 0.5
LATENCY_S = 0.05


def picture(began: float, arrived: float | None = None) -> ArrivedFrame:
    return ArrivedFrame(grey(1), began, began if arrived is None else arrived)


def exposures(answers: list[tuple[int, ArrivedFrame]]) -> list[tuple[int, float | None]]:
    """Say of each answer when its frame was begun, None for a problem."""
    return [(exposure, found.began if found.pixels is not None else None) for exposure, found in answers]


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


def test_two_triggers_within_one_frame_get_a_frame_each() -> None:
    matching = FreeRunMatching(TIMEOUT_S, WINDOW_S)
    matching.expose(1, 10.0)
    matching.expose(2, 10.01)
    matching.add(picture(10.02))
    matching.add(picture(10.05))

    assert exposures(matching.settle(10.1)) == [(1, 10.02), (2, 10.05)]


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


def hardware() -> HardwareTriggerMatching:
    return HardwareTriggerMatching(TIMEOUT_S, WINDOW_S, LATE_S)


def test_a_sensor_s_frame_may_come_before_the_plc_s_message() -> None:
    matching = hardware()
    matching.add(picture(9.99))
    assert matching.settle(9.995) == []
    matching.expose(1, 10.0)

    assert exposures(matching.settle(10.02)) == [(1, 9.99)]


def test_a_sensor_s_frame_may_come_after_the_plc_s_message() -> None:
    matching = hardware()
    matching.expose(1, 10.0)
    matching.add(picture(10.015))
    assert matching.settle(10.03) == []  # until 10.035 another message could claim it

    assert exposures(matching.settle(10.04)) == [(1, 10.015)]


def test_a_missing_frame_is_not_made_up_for_by_the_next_part_s() -> None:
    matching = hardware()
    matching.expose(1, 10.0)
    matching.expose(2, 10.1)
    matching.add(picture(10.1))
    assert exposures(matching.settle(10.5)) == []  # in order: the first is still waited for

    assert exposures(matching.settle(11.0)) == [(1, None), (2, 10.1)]


def test_a_pulse_without_a_message_is_dropped_and_counted() -> None:
    matching = hardware()
    matching.add(picture(9.0))
    matching.expose(1, 10.0)
    matching.add(picture(10.0))

    assert exposures(matching.settle(10.03)) == [(1, 10.0)]
    assert matching.unclaimed == 1


def test_a_frame_that_two_messages_could_claim_is_given_to_neither() -> None:
    matching = hardware()
    matching.expose(1, 10.0)
    matching.expose(2, 10.03)
    matching.add(picture(10.015))

    answers = matching.settle(10.04)
    assert exposures(answers) == [(1, None), (2, None)]
    assert "less than half of the shortest time between two parts" in answers[0][1].problem


def test_two_frames_for_one_message_are_a_doubt() -> None:
    matching = hardware()
    matching.expose(1, 10.0)
    matching.add(picture(9.99))
    matching.add(picture(10.01))

    assert exposures(matching.settle(10.04)) == [(1, None)]


def test_a_miss_says_how_far_the_nearest_frame_was() -> None:
    matching = hardware()
    matching.add(picture(9.9))
    matching.settle(9.95)
    matching.expose(1, 10.0)
    ((_, found),) = matching.settle(11.0)

    assert "the last one -100 ms from it" in found.problem


def test_a_sensor_that_never_leads_to_a_frame_has_the_camera_restarted() -> None:
    matching = hardware()
    for exposure in range(1, MISSES + 1):
        assert not matching.fault
        matching.expose(exposure, 10.0 * exposure)
        matching.settle(10.0 * exposure + TIMEOUT_S)

    assert "3 triggers in a row" in matching.fault
    assert matching.abandon() == []
    assert not matching.fault


def test_a_message_that_comes_late_does_not_get_the_next_part_s_frame() -> None:
    matching = hardware()
    matching.add(picture(10.0))  # its message is damaged, and repeated
    matching.add(picture(10.1))
    matching.expose(1, 10.1, None)  # of the first part, just when the second one's is lost

    ((exposure, found),) = matching.settle(10.13)
    assert (exposure, found.pixels) == (1, None)
    assert "found a frame without a message 100 ms before" in found.problem


def test_a_message_that_was_held_up_here_does_not_get_the_next_part_s_frame() -> None:
    matching = hardware()
    matching.add(picture(10.0))
    matching.settle(10.03)
    matching.expose(1, 10.04)  # this computer was busy
    matching.add(picture(10.05))

    assert exposures(matching.settle(10.08)) == [(1, None)]


def test_messages_are_believed_again_when_no_late_one_can_come() -> None:
    matching = hardware()
    matching.add(picture(10.0))
    matching.settle(10.03)
    matching.expose(1, 10.6, None)
    matching.add(picture(10.6))

    assert exposures(matching.settle(10.63)) == [(1, 10.6)]


def test_a_message_may_be_of_a_frame_that_came_while_the_camera_was_lost() -> None:
    matching = hardware()
    matching.abandon()
    matching.settle(10.0)  # opened again
    matching.expose(1, 10.1, None)
    matching.add(picture(10.1))
    matching.expose(2, 10.6, None)
    matching.add(picture(10.6))

    assert exposures(matching.settle(10.7)) == [(1, None), (2, 10.6)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.041, 0.3), st.floats(-0.019, 0.019), st.one_of(st.just(0.0), st.floats(0.02, LATE_S))),
        min_size=1,
        max_size=30,
    )
)
def test_no_part_gets_another_s_frame_however_late_a_message_that_says_so_is(
    parts: list[tuple[float, float, float]],
) -> None:
    matching, at = hardware(), 0.0
    events: list[tuple[float, int, bool]] = []
    lateness = [late for _, _, late in parts]
    for number, (gap, shift, late) in enumerate(parts):
        at += gap
        events += [(at + shift, number, False), (at + late, number, True)]
    truth: dict[int, int] = {}
    said: list[int] = []
    answered: list[tuple[int, ArrivedFrame]] = []
    for now, number, is_message in sorted(events):
        if is_message:
            said.append(number)
            matching.expose(len(said), now, lateness[number])
        else:
            found = picture(now)
            truth[id(found)] = number
            matching.add(found)
        answered += matching.settle(now)
    answered += matching.settle(1e9)

    assert [exposure for exposure, _ in answered] == list(range(1, len(parts) + 1))
    assert all(found.pixels is None or truth[id(found)] == said[exposure - 1] for exposure, found in answered)


def test_messages_that_come_late_are_not_the_camera_s_fault() -> None:
    matching = hardware()
    for exposure in range(1, MISSES + 2):
        matching.expose(exposure, 10.0 * exposure, 0.06)
        matching.settle(10.0 * exposure + TIMEOUT_S)

    assert not matching.fault


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.05, 0.5), st.booleans(), st.floats(-0.019, 0.019)), min_size=1, max_size=30))
def test_parts_further_apart_than_two_windows_always_get_their_own_frame(
    parts: list[tuple[float, bool, float]],
) -> None:
    matching = HardwareTriggerMatching(TIMEOUT_S, WINDOW_S, LATE_S)
    at = 0.0
    events: list[tuple[float, int, bool]] = []
    for number, (gap, present, shift) in enumerate(parts, start=1):
        at += gap
        events.append((at, number, True))
        if present:
            events.append((at + shift, number, False))
    truth: dict[int, int] = {}
    answered: list[tuple[int, ArrivedFrame]] = []
    for now, number, is_message in sorted(events):
        if is_message:
            matching.expose(number, now)
        else:
            found = picture(now)
            truth[id(found)] = number
            matching.add(found)
        answered += matching.settle(now)
    answered += matching.settle(1e9)

    assert [exposure for exposure, _ in answered] == list(range(1, len(parts) + 1))
    for exposure, found in answered:
        assert (found.pixels is not None) == parts[exposure - 1][1]
        assert found.pixels is None or truth[id(found)] == exposure


# software trigger


def software() -> SoftwareTriggerMatching:
    return SoftwareTriggerMatching(TIMEOUT_S, WINDOW_S)


def test_a_message_that_comes_late_does_not_trigger_the_camera() -> None:
    matching = software()
    matching.expose(1, 10.0, 0.06)  # repeated by the line; by now the next part may be there
    assert not matching.due()
    ((exposure, found),) = matching.settle(10.0)

    assert (exposure, found.pixels) == (1, None)


def test_a_software_trigger_gets_the_frame_that_follows_it() -> None:
    matching = software()
    assert matching.idle
    matching.expose(1, 10.0)
    assert matching.due()
    matching.sent(10.001)
    assert not matching.due()
    matching.add(picture(10.002))

    assert exposures(matching.settle(10.03)) == [(1, 10.002)]


def test_the_next_trigger_waits_for_the_frame_before_but_not_for_long() -> None:
    matching = software()
    for exposure, at in ((1, 10.0), (2, 10.005), (3, 10.03)):
        matching.expose(exposure, at)
    matching.sent(10.0)
    matching.add(picture(10.01))

    assert exposures(matching.settle(10.04)) == [(1, 10.01), (2, None)]
    assert matching.due()  # the third has waited for 10 ms only


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
