"""Contract test of the link, over every protocol and every simulated PLC."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from firmware_bridge.events import Acknowledged, Event, HelloReceived
from firmware_bridge.link import Link, open_link
from firmware_bridge.messages import Hello, Result, Trigger, Verdict
from firmware_bridge.simulator.plc import PlcSimulator
from firmware_bridge.wiring import LinkKind
from tests.firmware_bridge.device.device_bench import build

PARTS = 12
MAX_OPEN = 3  # parts between camera and ejector
PATIENCE_S = 60.0  # a bound for a loaded machine, not a wait
Outcome = list[tuple[Verdict, bool]]


class Plc(Protocol):
    """Other end of the contract test: a line of PARTS parts, each rejected at its deadline."""

    carries_verdicts: bool
    """Whether a result says more than OK or NG."""

    def open_link(self) -> Link:
        """Open the station's end."""

    def outcome(self) -> Outcome | None:
        """Give verdict and "passed" of each part in order, None as long as the line runs."""

    def close(self) -> None:
        """Take it away."""


class SimulatedPlc:
    """The Python simulator."""

    def __init__(self, way: LinkKind, deadline_s: float) -> None:
        self._simulator = PlcSimulator(PARTS, max_open=MAX_OPEN, deadline_s=deadline_s, way=way)
        self.carries_verdicts = not way.is_signals

    def open_link(self) -> Link:
        return self._simulator.open_station(Hello())  # gpiod's lines are wires in memory here

    def outcome(self) -> Outcome | None:
        if not self._simulator.wait(0):
            return None
        records = self._simulator.records()
        return [(record.verdict, record.decision.value == "passed") for record in records]

    def close(self) -> None:
        self._simulator.close()


class DevicePlc:
    """The C reject controller, with the sanitizers on, as a process."""

    carries_verdicts = True

    def __init__(self, program: Path, deadline_s: float) -> None:
        words = [program, "--parts", str(PARTS), "--deadline-ms", str(round(deadline_s * 1000))]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout
        self._address = self._process.stdout.readline().strip()

    def open_link(self) -> Link:
        return open_link(self._address, Hello())

    def outcome(self) -> Outcome | None:
        if self._process.poll() is None:
            return None
        assert self._process.stdout
        lines = [line.split() for line in self._process.stdout.read().splitlines()]
        parts = [line for line in lines if line[0] == "part"]
        assert len(parts) == len(lines) - 1, lines  # the counters, and no word of a sanitizer
        return [(Verdict(int(verdict)), fate == "passed") for _, _, _, verdict, fate in parts]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


Start = Callable[[float], Plc]

PATIENT_S = 8.0
"""A deadline that no loaded machine misses."""

HASTY_S = 0.08
"""A deadline for those tests in which no part is answered rightly."""


@pytest.fixture(params=[*LinkKind, "C controller"], ids=str)
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start each PLC in turn, with the deadline that the test asks for."""
    running: list[Plc] = []

    def make(deadline_s: float) -> Plc:
        if isinstance(request.param, LinkKind):
            if request.param is LinkKind.S7:
                pytest.importorskip("snap7", reason="python-snap7 is not installed (extra: s7)")
            running.append(SimulatedPlc(request.param, deadline_s))
        else:
            folder: Path = request.getfixturevalue("device_folder")
            running.append(DevicePlc(build("reject-controller", folder), deadline_s))
        return running[-1]

    yield make
    for plc in running:
        plc.close()


Inspect = Callable[[Link, Trigger], None]


def heard(plc: Plc, said: Verdict) -> Verdict:
    """Give what the PLC hears of a verdict."""
    return said if plc.carries_verdicts or said is Verdict.OK else Verdict.NG


def run(plc: Plc, inspect: Inspect) -> tuple[list[Event], Outcome]:
    """Inspect until the line has decided on its last part."""
    link = plc.open_link()
    events: list[Event] = []
    end = time.monotonic() + PATIENCE_S
    while (outcome := plc.outcome()) is None:
        assert time.monotonic() < end, f"the line still runs after {PATIENCE_S} s; last events {events[-3:]}"
        for event in link.poll(0.02):
            events.append(event)
            if isinstance(event, Trigger):
                inspect(link, event)
    link.close()
    return events, outcome


def say(verdict: Verdict) -> Inspect:
    """Give each part the same verdict."""
    return lambda link, part: link.send(Result(part.part_id, part.encoder, verdict))


@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.NG, Verdict.UNSURE, Verdict.TIMEOUT, Verdict.FAULT])
def test_only_ok_passes(start: Start, verdict: Verdict) -> None:
    plc = start(PATIENT_S)
    events, outcome = run(plc, say(verdict))
    assert outcome == [(heard(plc, verdict), verdict is Verdict.OK)] * PARTS
    assert sum(isinstance(event, Trigger) for event in events) == PARTS


def test_each_part_gets_its_own_verdict_and_each_result_is_acknowledged(start: Start) -> None:
    said: list[Verdict] = []

    def alternate(link: Link, part: Trigger) -> None:
        said.append((Verdict.OK, Verdict.NG, Verdict.OK)[len(said) % 3])
        link.send(Result(part.part_id, part.encoder, said[-1], 1, 0.5, 40, (1, 2, 3, 4), 900))

    events, outcome = run(start(PATIENT_S), alternate)
    assert outcome == [(verdict, verdict is Verdict.OK) for verdict in said]
    assert len(said) == PARTS
    # The line is gone as soon as it has decided, which may be before the acknowledgements behind the last trigger are
    # read. That trigger came when no more than MAX_OPEN - 1 others were open.
    assert sum(isinstance(event, Acknowledged) for event in events) >= PARTS - MAX_OPEN
    assert sum(isinstance(event, HelloReceived) for event in events) == 1


def test_no_part_passes_without_an_answer(start: Start) -> None:
    _, outcome = run(start(HASTY_S), lambda link, part: None)
    assert outcome == [(Verdict.NONE, False)] * PARTS


@pytest.mark.parametrize(("part_off", "encoder_off"), [(1, 0), (0, 1)])
def test_an_answer_to_another_part_passes_nothing(start: Start, part_off: int, encoder_off: int) -> None:
    def mistaken(link: Link, part: Trigger) -> None:
        link.send(Result((part.part_id + part_off) % 2**32, (part.encoder + encoder_off) % 2**32, Verdict.OK))

    _, outcome = run(start(HASTY_S), mistaken)
    assert not any(passed for _, passed in outcome)


def test_the_first_answer_counts(start: Start) -> None:
    def contradict(link: Link, part: Trigger) -> None:
        for verdict in (Verdict.NG, Verdict.OK):
            link.send(Result(part.part_id, part.encoder, verdict))

    _, outcome = run(start(PATIENT_S), contradict)
    assert outcome == [(Verdict.NG, False)] * PARTS


def test_a_station_that_goes_off_line_passes_nothing_more(start: Start) -> None:
    answered: list[Trigger] = []

    def leave_after_three(link: Link, part: Trigger) -> None:
        answered.append(part)
        if len(answered) <= 3:
            link.send(Result(part.part_id, part.encoder, Verdict.OK))
        if len(answered) == 3:
            link.go_offline("end of shift")

    _, outcome = run(start(HASTY_S), leave_after_three)
    assert sum(passed for _, passed in outcome) <= 3
    assert len(outcome) == PARTS
