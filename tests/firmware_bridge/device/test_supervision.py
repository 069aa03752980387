"""Self-checks of the C reject controller: restart, encoder, queue, ejector, settings."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from firmware_bridge.errors import FieldOutOfRange
from firmware_bridge.messages import ActiveAlarms, Fault, FaultCode, OnSilence, Settings, Verdict
from tests.firmware_bridge.device.device_bench import EJECT, EJECTED, HEALTHY, PART, RESET, RUN, Bench
from tests.firmware_bridge.device.reject_line import COUNTS_PER_MS, SETTINGS, RejectLine

CONFIRMED = Settings(eject_distance=1000, eject_length=100, confirm_within=300, deadline_ms=50)
STOPPING = replace(SETTINGS, on_silence=OnSilence.STOP_LINE)
Start = Callable[..., RejectLine]


@pytest.fixture
def start(device_library: ctypes.CDLL) -> Iterator[Start]:
    """Start a line with given settings."""
    running: list[RejectLine] = []

    def make(*words: Settings, **options: int) -> RejectLine:
        running.append(RejectLine(device_library, *words, **options))
        return running[-1]

    yield make
    for one in running:
        one.bench.close()


def faults(line: RejectLine) -> list[str]:
    """Give what the controller reported."""
    return [event.text for event in line.events if isinstance(event, Fault)]


# Restart


@pytest.mark.parametrize("encoder", [0, 12_345, 2**32 - 500])
def test_after_a_start_everything_is_ejected_for_one_eject_distance(start: Start, encoder: int) -> None:
    line = start(encoder=encoder)
    line.pass_ms(SETTINGS.eject_distance // COUNTS_PER_MS)
    assert line.outputs == EJECT | RUN
    line.pass_ms(SETTINGS.eject_length // COUNTS_PER_MS)
    assert line.outputs == RUN | HEALTHY


def test_a_line_that_stops_on_silence_may_run_while_it_ejects_what_it_does_not_know(start: Start) -> None:
    line = start(STOPPING)
    line.pass_ms(20)
    assert line.outputs == EJECT | RUN


def test_the_belt_has_to_move_for_the_sweep_to_end(start: Start) -> None:
    line = start()
    line.counts_per_ms = 0
    line.pass_ms(5_000)
    assert line.outputs & (EJECT | HEALTHY) == EJECT


def test_another_eject_distance_makes_the_parts_on_their_way_unknown(line: RejectLine) -> None:
    line.answer(line.part())
    line.edge.send(replace(SETTINGS, eject_distance=800), line.now_ms / 1000)
    line.pass_ms(5)
    assert line.outputs & (EJECT | HEALTHY) == EJECT
    line.pass_ms(1000 // COUNTS_PER_MS)
    assert line.outputs & (EJECT | HEALTHY) == EJECT  # over the longer of the two distances
    line.pass_ms(100 // COUNTS_PER_MS)
    assert line.outputs & (EJECT | HEALTHY) == HEALTHY
    assert line.bench.counters().passed == 0


# Encoder


@pytest.mark.parametrize("chosen", [SETTINGS, STOPPING], ids=["reject all", "stop line"])
def test_a_trigger_without_counts_is_an_encoder_fault(start: Start, chosen: Settings) -> None:
    line = start(chosen)
    line.become_healthy()
    line.part()
    line.counts_per_ms = 0
    line.pass_ms(20)
    line.part()
    line.part()
    assert line.outputs & HEALTHY == 0
    assert line.outputs & EJECT
    assert bool(line.outputs & RUN) is (chosen is SETTINGS)
    assert faults(line) == ["encoder: no counts between parts"]
    assert ActiveAlarms(FaultCode.BELT.bit) in line.events


def test_fewer_counts_than_parts_are_apart_are_an_encoder_fault(start: Start) -> None:
    line = start(replace(SETTINGS, least_travel=200))
    line.become_healthy()
    line.part()
    line.pass_ms(18)
    line.part()
    assert line.outputs & HEALTHY
    line.pass_ms(5)
    line.part()
    assert line.outputs & (EJECT | HEALTHY) == EJECT


@pytest.mark.parametrize("counts", [2**31 + 5_000, 3 * 2**30, 2**32 - 5_000])
def test_a_belt_that_has_long_been_empty_is_no_encoder_fault(start: Start, counts: int) -> None:
    line = start()
    line.become_healthy()
    line.answer(line.part())
    line.pass_ms(120)
    line.counts_per_ms = counts // 16
    line.pass_ms(16)
    line.counts_per_ms = COUNTS_PER_MS
    line.part()
    assert line.outputs & HEALTHY
    assert faults(line) == []


@pytest.mark.parametrize("encoder_bits", [32, 16])
def test_a_belt_that_runs_back_is_an_encoder_fault(start: Start, encoder_bits: int) -> None:
    line = start(encoder_bits=encoder_bits)
    line.become_healthy()
    line.counts_per_ms = -COUNTS_PER_MS
    line.pass_ms(SETTINGS.eject_length // COUNTS_PER_MS)
    assert line.outputs & HEALTHY  # it creeps back when it stops
    line.pass_ms(1)
    assert line.outputs & (EJECT | HEALTHY) == EJECT
    line.counts_per_ms = COUNTS_PER_MS
    line.pass_ms(500)
    assert line.outputs & (EJECT | HEALTHY) == EJECT


def test_swapped_phases_are_found_at_the_start(start: Start) -> None:
    line = start()
    line.counts_per_ms = -COUNTS_PER_MS
    line.pass_ms(50)
    assert line.outputs & (EJECT | HEALTHY) == EJECT
    assert faults(line) == ["encoder: the belt runs back"]


def test_a_timer_of_16_bits_wraps_without_effect(start: Start) -> None:
    line = start(encoder=65_536 - 1_500, encoder_bits=16)
    line.become_healthy()
    ok, bad = line.part(), None
    line.answer(ok)
    line.pass_ms(30)
    bad = line.part()
    line.answer(bad, Verdict.NG)
    line.pass_ms(60)
    assert line.outputs & EJECT == 0
    line.pass_ms(30)
    assert line.outputs & EJECT == 0
    line.pass_until_ejecting(True)
    line.pass_ms(30)
    assert [decided.passed for decided in line.bench.decided()] == [True, False]
    assert line.encoder > 65_536
    assert line.outputs & HEALTHY


def test_a_timer_of_16_bits_that_is_said_to_have_32_is_an_encoder_fault(start: Start) -> None:
    line = start(encoder=60_000)
    line.become_healthy()
    line.encoder -= 61_000
    line.pass_ms(1)
    assert line.outputs & (EJECT | HEALTHY) == EJECT


def test_a_jump_past_a_bad_part_is_an_encoder_fault(line: RejectLine) -> None:
    line.answer(line.part(), Verdict.NG)
    line.pass_ms(10)
    line.encoder += 2_000
    line.pass_ms(1)
    assert line.outputs & (EJECT | HEALTHY) == EJECT
    assert faults(line) == ["encoder: jumped past a part"]


def test_after_the_reset_everything_is_ejected_that_was_on_its_way(line: RejectLine) -> None:
    line.encoder -= 2_000
    line.pass_ms(5)
    line.answer(line.part())
    line.pass_ms(2, RESET)
    assert line.outputs & (EJECT | HEALTHY) == EJECT
    line.pass_ms(1100 // COUNTS_PER_MS)
    assert line.outputs & (EJECT | HEALTHY) == HEALTHY
    assert line.bench.counters().passed == 0
    line.pass_ms(1_000)
    *_, last = (event for event in line.events if isinstance(event, ActiveAlarms))
    assert last == ActiveAlarms(0)


@pytest.mark.parametrize("chosen", [SETTINGS, STOPPING], ids=["reject all", "stop line"])
def test_a_full_queue_is_a_fault(start: Start, chosen: Settings) -> None:
    line = start(replace(chosen, eject_distance=5000, deadline_ms=1000))
    line.become_healthy()
    for _ in range(65):
        line.pass_ms(2, PART)
    line.pass_ms(1)
    assert line.outputs & (EJECT | HEALTHY) == EJECT
    assert bool(line.outputs & RUN) is (chosen is SETTINGS)
    assert faults(line) == ["more parts than the queue holds"]
    line.pass_ms(1_000)
    assert line.bench.counters().passed == 0
    line.pass_ms(1, RESET)
    line.pass_ms(5_120 // COUNTS_PER_MS)
    assert line.outputs & (EJECT | HEALTHY | RUN) == HEALTHY | RUN


# Ejector


def test_a_jammed_ejector_is_noticed_however_fast_the_rejects_follow(start: Start) -> None:
    line = start(CONFIRMED)
    line.become_healthy()
    for _ in range(20):
        line.answer(line.part(), Verdict.NG)
        line.pass_ms(10)
    assert line.bench.counters().unconfirmed > 5
    assert line.outputs & HEALTHY == 0
    assert set(faults(line)) == {"eject not confirmed"}


def test_one_missing_part_among_many_is_noticed(start: Start) -> None:
    line = start(CONFIRMED)
    line.become_healthy()
    rejects = 0
    for number in range(12):
        line.answer(line.part(), Verdict.NG)
        line.pass_ms(20)
        fired = line.bench.counters().rejected
        if fired > rejects and number != 6:
            line.pass_ms(1, EJECTED)
        rejects = fired
    line.pass_ms(100)
    assert line.bench.counters().unconfirmed >= 1
    assert line.outputs & HEALTHY == 0


def test_the_valve_closes_while_the_belt_stands_and_opens_when_it_moves(start: Start) -> None:
    line = start(replace(SETTINGS, longest_on_ms=200))
    line.become_healthy()
    line.answer(line.part(), Verdict.NG)
    line.pass_until_ejecting(True)
    line.counts_per_ms = 0
    line.pass_ms(150)
    assert line.outputs & EJECT
    line.pass_ms(100)
    assert line.outputs & EJECT == 0
    line.counts_per_ms = 1
    line.pass_ms(2)
    assert line.outputs & EJECT


# Settings

INVALID = [
    ("eject_distance", 0),
    ("eject_distance", 2**31),
    ("eject_length", 0),
    ("eject_length", 2**31),
    ("confirm_within", 2**31),
    ("deadline_ms", 0),
    ("on_silence", 7),
    ("least_travel", 0),
    ("least_travel", 2**31),
]


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_invalid_settings_are_refused_wherever_they_come_from(
    device_library: ctypes.CDLL, name: str, value: int
) -> None:
    bench = Bench(device_library, 77, SETTINGS, unchecked={name: value})
    assert not bench.started
    assert bench.poll(1, 10) == EJECT
    bench.close()
    with pytest.raises(FieldOutOfRange, match=f"Settings.{name} is"):
        replace(SETTINGS, **{name: value})


@pytest.mark.parametrize("encoder", [0, 2**32 - 500])
def test_the_largest_distances_together_do_not_turn_around(start: Start, encoder: int) -> None:
    largest = 2**30
    line = start(replace(SETTINGS, eject_distance=largest, eject_length=largest), encoder=encoder)
    line.counts_per_ms = 0
    line.pass_ms(20)
    for _ in range(4):
        line.counts_per_ms = 2**29 - 1
        line.pass_ms(1)
        assert line.outputs == EJECT | RUN
    line.counts_per_ms = 4
    line.pass_ms(1)
    assert line.outputs == RUN | HEALTHY


@pytest.mark.parametrize("encoder_bits", [0, 1, 33, 255])
def test_a_counter_of_no_known_width_is_refused(device_library: ctypes.CDLL, encoder_bits: int) -> None:
    bench = Bench(device_library, 77, SETTINGS, encoder_bits=encoder_bits)
    assert not bench.started
    assert bench.poll(1, 10) == EJECT
    bench.close()


def test_valid_settings_of_the_station_end_the_fault_of_invalid_ones(device_library: ctypes.CDLL) -> None:
    line = RejectLine(device_library)
    line.bench.close()
    line.bench = Bench(device_library, 77, SETTINGS, unchecked={"eject_length": 0})
    line.pass_ms(20)
    line.pass_ms(2, RESET)
    assert line.outputs == EJECT
    line.edge.send(SETTINGS, line.now_ms / 1000)
    line.pass_ms(10)
    assert line.outputs == EJECT | RUN
    line.pass_ms(120)
    assert line.outputs == RUN | HEALTHY
    line.bench.close()
