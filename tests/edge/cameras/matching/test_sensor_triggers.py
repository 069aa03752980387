"""Matching of a sensor's frames to the PLC's messages, over all orders in which they arrive."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras.matching.trigger_matching import (
    MISSES,
    ArrivedFrame,
    HardwareTriggerMatching,
)
from tests.edge.cameras.matching.conftest import LATE_S, TIMEOUT_S, WINDOW_S, exposures, picture


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


def test_a_part_without_pulses_counts_once_against_the_camera() -> None:
    matching = hardware()
    for exposure in range(MISSES):
        matching.expose(exposure + 1, 10.0, after_s=0.1 * exposure)

    assert exposures(matching.settle(12.0)) == [(number + 1, None) for number in range(MISSES)]
    assert matching.fault == ""


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
