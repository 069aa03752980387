"""The C reject controller: parts, ejector, watchdog, roll-over."""

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.events import Acknowledged
from firmware_bridge.framed.frames import encode_frame
from firmware_bridge.framed.session import Session
from firmware_bridge.messages import (
    ActiveAlarms,
    BeltPosition,
    Fault,
    FaultCode,
    Header,
    Hello,
    Offline,
    OnSilence,
    Result,
    Role,
    Settings,
    State,
    Trigger,
    Verdict,
    encode,
)
from firmware_bridge.simulator.faulty_wire import Faults, FaultyWire
from tests.firmware_bridge.device.device_bench import (
    ALARM,
    DEVICE,
    EJECTED,
    HEALTHY,
    PART,
    RESET,
    RUN,
    Decided,
)
from tests.firmware_bridge.device.reject_line import COUNTS_PER_MS, SETTINGS, RejectLine


def test_controller_and_station_find_each_other(line: RejectLine) -> None:
    assert line.edge.is_open
    assert line.outputs == RUN | HEALTHY


def test_a_good_part_passes(line: RejectLine) -> None:
    part = line.part()
    line.answer(part)
    line.pass_ms(120)
    assert line.bench.decided() == [Decided(part.part_id, part.encoder, Verdict.OK, True)]
    assert Acknowledged(Result(part.part_id, part.encoder, Verdict.OK)) in line.events


def test_a_repeated_trigger_says_how_old_it_is(line: RejectLine) -> None:
    assert line.part().age_ms == 0
    line.connected = False
    line.pass_ms(1, PART)
    line.connected = True
    line.pass_ms(100)
    *_, repeated = (event for event in line.events if isinstance(event, Trigger))
    assert repeated.age_ms == pytest.approx(64, abs=2)  # the retry time at 115200 baud


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.OK])
def test_anything_but_ok_is_ejected_at_its_place(line: RejectLine, verdict: Verdict) -> None:
    part = line.part()
    line.answer(part, verdict)
    line.pass_until_ejecting(True)
    assert line.encoder == pytest.approx(part.encoder + SETTINGS.eject_distance, abs=COUNTS_PER_MS)
    start = line.encoder
    line.pass_until_ejecting(False)
    assert line.encoder - start == SETTINGS.eject_length
    assert not line.bench.decided()[0].passed


def test_the_station_hears_where_the_belt_is_and_what_has_arrived(line: RejectLine) -> None:
    line.events.clear()
    line.pass_ms(1, EJECTED)
    line.pass_ms(100)
    line.pass_ms(1, EJECTED)
    line.pass_ms(100)
    belts = [event for event in line.events if isinstance(event, BeltPosition)]
    assert [belt.arrived for belt in belts] == [1, 1, 2, 2]
    steps = [after.encoder - before.encoder for before, after in pairwise(belts)]
    assert steps == [50 * COUNTS_PER_MS] * 3
    assert line.edge.tally.malformed == line.bench.counters().frame_errors == 0


def test_the_alarm_lamp_is_lit_while_the_station_says_so(line: RejectLine) -> None:
    line.edge.send(ActiveAlarms(FaultCode.DRIFT.bit), line.now_ms / 1000)
    line.pass_ms(5)
    assert line.outputs == RUN | HEALTHY | ALARM
    line.edge.send(ActiveAlarms(), line.now_ms / 1000)
    line.pass_ms(5)
    assert line.outputs == RUN | HEALTHY
    assert line.edge.tally.malformed == line.bench.counters().frame_errors == line.edge.tally.duplicates == 0


def test_the_alarm_lamp_of_a_station_that_is_gone_is_dark(line: RejectLine) -> None:
    line.edge.send(ActiveAlarms(FaultCode.DRIFT.bit), line.now_ms / 1000)
    line.pass_ms(5)
    line.connected = False
    line.pass_ms(1500)
    assert line.outputs & (ALARM | HEALTHY) == 0


def test_a_part_without_an_answer_is_ejected(line: RejectLine) -> None:
    line.part()
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [False]
    assert line.bench.counters().unanswered == 1


def test_an_answer_after_the_deadline_comes_too_late(line: RejectLine) -> None:
    part = line.part()
    line.pass_ms(60)
    line.answer(part)
    line.pass_ms(60)
    assert [decided.passed for decided in line.bench.decided()] == [False]
    assert line.bench.counters().late == 1


@pytest.mark.parametrize(("id_off", "encoder_off"), [(1, 0), (0, 1), (-1, 0), (0, 1 << 31)])
def test_an_answer_for_another_part_changes_nothing(line: RejectLine, id_off: int, encoder_off: int) -> None:
    part = line.part()
    line.answer(Trigger(part.part_id + id_off, (part.encoder + encoder_off) % 2**32))
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [False]


def test_the_first_answer_counts(line: RejectLine) -> None:
    part = line.part()
    line.answer(part, Verdict.NG)
    line.answer(part, Verdict.OK)
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [False]


@pytest.mark.parametrize(("now_ms", "encoder"), [(2**32 - 160, 2**32 - 1700), (2**31 - 160, 2**31 - 1700)])
def test_time_and_encoder_roll_over(device_library: ctypes.CDLL, now_ms: int, encoder: int) -> None:
    line = RejectLine(device_library, now_ms=now_ms, encoder=encoder)
    line.become_healthy()
    for verdict in (Verdict.OK, Verdict.NG) * 3:
        line.answer(line.part(), verdict)
    line.pass_ms(150)
    assert [decided.passed for decided in line.bench.decided()] == [True, False] * 3
    line.bench.close()


def test_a_silent_station_has_everything_ejected_even_what_it_had_passed(device_library: ctypes.CDLL) -> None:
    line = RejectLine(device_library, replace(SETTINGS, eject_distance=20_000))
    line.become_healthy()
    part = line.part()
    line.answer(part)
    line.pass_ms(3)
    line.connected = False
    line.pass_ms(1_100)
    assert line.outputs & HEALTHY == 0
    line.pass_ms(2_000)
    assert [decided.passed for decided in line.bench.decided()] == [False]
    line.bench.close()


def test_a_station_that_comes_back_is_believed_again(line: RejectLine) -> None:
    line.connected = False
    line.pass_ms(2_000)
    line.connected = True
    line.pass_ms(300)
    line.answer(line.part())
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [True]


def test_a_restarted_station_is_no_repetition(line: RejectLine) -> None:
    for _ in range(2):
        line.edge = Session(Hello(Role.EDGE), line.edge.number + 1, line.now_ms / 1000)
        line.pass_ms(100)
        line.answer(line.part())
        line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [True, True]


@pytest.mark.parametrize(
    ("sender", "receiver", "passes"), [(5, 77, True), (6, 77, False), (5, 76, False), (0, 77, False)]
)
def test_only_what_comes_from_this_session_for_this_session_counts(
    line: RejectLine, sender: int, receiver: int, passes: bool
) -> None:
    part = line.part()
    header = Header(Result.KIND, sender, receiver, 1)
    line.bench.feed(encode_frame(encode(header, Result(part.part_id, part.encoder, Verdict.OK))))
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [passes]


@pytest.mark.parametrize("hello", [Hello(Role.EDGE, protocol=2), Hello(Role.PLC)], ids=["version", "role"])
def test_a_station_that_does_not_fit_never_opens_the_line(line: RejectLine, hello: Hello) -> None:
    line.edge = Session(hello, 6, line.now_ms / 1000)
    line.pass_ms(1_500)
    assert line.outputs & (RUN | HEALTHY) == RUN
    line.pass_ms(200, PART)
    assert [decided.passed for decided in line.bench.decided()] == [False]


def test_a_trigger_for_a_former_station_does_not_reach_the_next_one(line: RejectLine) -> None:
    line.connected = False
    line.pass_ms(3, PART)
    line.edge, line.connected = Session(Hello(Role.EDGE), 6, line.now_ms / 1000), True
    line.events.clear()
    line.pass_ms(300)
    assert line.edge.is_open
    assert not any(isinstance(event, Trigger) for event in line.events)


def test_offline_holds_until_the_station_restarts(line: RejectLine) -> None:
    line.edge.send(Offline("end of shift"), line.now_ms / 1000)
    line.answer(line.part())
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [False]
    assert line.outputs & HEALTHY == 0
    line.edge = Session(Hello(Role.EDGE), 6, line.now_ms / 1000)
    line.pass_ms(100)
    assert line.outputs & HEALTHY


def test_three_late_answers_stop_the_line_where_so_set(device_library: ctypes.CDLL) -> None:
    line = RejectLine(device_library, Settings(1000, 100, 0, 50, OnSilence.STOP_LINE))
    assert line.outputs & RUN == 0
    line.become_healthy()
    for _ in range(3):
        assert line.outputs & RUN
        line.part()
        line.pass_ms(120)
    assert line.outputs & RUN == 0
    line.pass_ms(2, RESET)
    assert line.outputs & RUN
    line.bench.close()


def test_three_answers_for_unknown_parts_are_a_confused_station(line: RejectLine) -> None:
    part = line.part()
    line.answer(part)
    for stray in range(3):
        line.answer(Trigger(stray, stray))
    line.pass_ms(10)
    assert line.outputs & HEALTHY == 0
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [False]


def test_an_unseen_eject_is_a_fault_until_it_is_acknowledged(device_library: ctypes.CDLL) -> None:
    line = RejectLine(device_library, Settings(1000, 100, 300, 50))
    line.become_healthy()
    seen, unseen = line.part(), None
    line.answer(seen, Verdict.NG)
    line.pass_ms(105)
    line.pass_ms(40, EJECTED)
    assert line.bench.counters().unconfirmed == 0
    unseen = line.part()
    line.answer(unseen, Verdict.NG)
    line.pass_ms(140)
    assert line.bench.counters().unconfirmed == 1
    assert Fault(FaultCode.OUTPUT, unseen.part_id, "eject not confirmed") in line.events
    assert line.outputs & HEALTHY == 0
    line.pass_ms(2, RESET)
    assert line.outputs & HEALTHY
    line.bench.close()


@settings(max_examples=25, deadline=None)
@given(
    st.builds(Faults, bit_flip=st.sampled_from([0.0, 1e-4, 1e-3]), drop=st.sampled_from([0.0, 0.1])),
    st.integers(0, 2**32),
)
def test_nothing_passes_over_a_faulty_wire_that_was_not_proved_good(
    device_library: ctypes.CDLL, faults: Faults, seed: int
) -> None:
    random = Random(seed)
    line = RejectLine(device_library, now_ms=random.randrange(2**32), encoder=random.randrange(2**32))
    line.connected = False
    there, back = FaultyWire(faults, random), FaultyWire(faults, random)
    truth: dict[int, tuple[int, Verdict]] = {}
    line.pass_ms(1)
    for step in range(1_500):
        now = line.now_ms / 1000
        line.edge.tick(now)
        for event in line.edge.receive(back.take(now), now):
            if isinstance(event, Trigger):
                truth[event.part_id] = event.encoder, random.choice(list(Verdict))
                line.answer(event, truth[event.part_id][1])
        if data := line.edge.outgoing():
            there.put(data, now)
        line.bench.feed(there.take(now))
        line.outputs = line.bench.poll(line.now_ms, line.encoder, PART if step % 20 == 0 else 0)
        if data := line.bench.take():
            back.put(data, now)
        line.now_ms, line.encoder = line.now_ms + 1, line.encoder + COUNTS_PER_MS
    for decided in line.bench.decided():
        assert not decided.passed or truth[decided.part_id] == (decided.encoder, Verdict.OK)
    line.bench.close()


def test_it_compiles_for_a_cortex_m_and_fits_in_what_the_readme_says(device_folder: Path) -> None:
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not installed, so the controller is not compiled for a microcontroller")
    words = ["make", "-s", "-C", DEVICE, f"BUILD={device_folder}", "arm"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    totals = [line.split() for line in said.splitlines() if line.endswith("(TOTALS)")]
    stated = re.findall(
        r"^\| Cortex-M\S+ \| ([\d,]+) B \| ([\d,]+) B", (DEVICE / "README.md").read_text(), re.MULTILINE
    )
    sizes = [(int(flash), int(ram)) for flash, _, ram, *_ in totals]
    wanted = [tuple(int(number.replace(",", "")) for number in line) for line in stated]
    assert len(sizes) == len(wanted) == 2
    for measured, claimed in zip(sizes, wanted, strict=True):
        assert measured == pytest.approx(claimed, rel=0.05)  # compilers differ


# Recipes, settings, shadow mode


def test_shadow_mode_lights_the_alarm_lamp(line: RejectLine) -> None:
    line.edge = Session(Hello(Role.EDGE), 6, line.now_ms / 1000, shadow=True)
    line.pass_ms(400)
    assert line.outputs == RUN | HEALTHY | ALARM


def test_a_heartbeat_that_says_offline_is_as_good_as_the_message(line: RejectLine) -> None:
    line.edge.state = State.OFFLINE
    line.pass_ms(400)
    assert line.outputs & HEALTHY == 0


def test_the_belt_is_told_again_after_a_month_without_a_station(line: RejectLine) -> None:
    line.connected = False
    line.pass_ms(2_000)
    for _ in range(30):
        line.now_ms += 24 * 3_600_000
        line.pass_ms(2)
    line.connected = True
    line.edge = Session(Hello(Role.EDGE), 6, line.now_ms / 1000)
    line.events.clear()
    line.pass_ms(1_500)
    assert sum(isinstance(event, BeltPosition) for event in line.events) > 10
    assert sum(isinstance(event, ActiveAlarms) for event in line.events) >= 1
