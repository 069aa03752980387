"""Overload test: verdict of each part above the sustainable rate, and recovery time."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from firmware_bridge.messages import Verdict
from firmware_bridge.parts import PartRecord, Report
from firmware_bridge.simulator.plc import PlcSimulator
from tools.fault_rig.equipment.camera import ON_DEMAND
from tools.fault_rig.line_text import DEADLINE_S, PLC_DEADLINE_S, line_text
from tools.fault_rig.places import Places
from tools.fault_rig.process import StationProcess, wait_until

BAUD = 921_600
"""115200 baud carries 200 parts a second, less than five times the rate of a station."""
START_S = 60.0
KEPT_OPEN = 4
"""Open parts while the highest rate is measured: the station always has a next part, and no part waits long."""
MANY = 100_000
"""The belt does not wait for the station."""
MEASURE_S = 10.0
TRIES = 8
STEP = 0.9
"""Factor from a rate that was not sustainable to the next one tried."""
RESERVE = 0.9
"""Sustainable rate over the highest rate at which every part of a try was judged.

A try begins with an empty queue and may succeed at the capacity itself, where the queue that an overload leaves never
drains: of 601 parts a simulated queue of 8 refuses 9 (16 at the 90th percentile) there, and 1 (2) at 0.9 of it.
"""
FACTORS = (1, 2, 1, 5, 1)
JUDGED = (Verdict.OK, Verdict.NG)
RECOVERY_S = 0.5
"""Limit of the recovery time; parts open at the end of the overload have their verdicts after one deadline."""
USUAL = 0.98
"""Minimum share of the parts that are judged at the sustainable rate on a shared machine."""


@dataclass(frozen=True)
class Phase:
    """Phase of the test at one rate, with the parts that were triggered in it."""

    factor: float
    rate: float
    begins_s: float
    ends_s: float
    parts: tuple[PartRecord, ...] = ()

    @property
    def judged(self) -> list[PartRecord]:
        """Parts whose OK or NG came in time."""
        return [part for part in self.parts if part.verdict in JUDGED]

    @property
    def verdicts(self) -> Counter[Verdict]:
        """Verdicts at the PLC; NONE if its watchdog rejected the part."""
        return Counter(part.verdict for part in self.parts)

    @property
    def recovered_s(self) -> float | None:
        """From the beginning to the first answer on a part of this phase that was judged in time."""
        return min((part.answered_s - self.begins_s for part in self.judged if part.answered_s), default=None)


@dataclass
class OverloadRun:
    """Result of a test, as measured at the PLC."""

    fastest: float = 0.0
    """Parts per second with the next part always waiting."""
    sustainable: float = 0.0
    """The highest rate tried at which every part was judged in time, less the reserve."""
    phases: list[Phase] = field(default_factory=list)
    parts: list[PartRecord] = field(default_factory=list)
    report: Report | None = None
    problems: list[str] = field(default_factory=list)


def run(bundle: Path, stretch_s: float, places: Places) -> OverloadRun:
    """Measure the sustainable rate, then run multiples of it for `stretch_s` each."""
    course = OverloadRun()
    with ExitStack() as opened:
        places.disk.mkdir(parents=True)
        places.line.write_text(
            line_text(places, bundle, ON_DEMAND, f"serial://{places.port}?baud={BAUD}"), encoding="utf-8"
        )
        plc = opened.enter_context(
            PlcSimulator(10**9, max_open=KEPT_OPEN, deadline_s=PLC_DEADLINE_S, baud=BAUD, link_path=places.port)
        )
        station = StationProcess(places)
        opened.callback(station.stop)
        if not wait_until(lambda: bool(plc.report().round_trips_s) or not station.alive, START_S):
            course.problems.append(f"the station answered nothing within {START_S:.0f} s of its start")
        else:
            _measure(plc, course)
            _overload(plc, stretch_s, course)
        _let_run_empty(plc)
        if status := station.stop():
            course.problems.append(f"the station ended with status {status}; its log says why")
        course.parts, course.report = plc.records(), plc.report()
    return course


def _measure(plc: PlcSimulator, course: OverloadRun) -> None:
    time.sleep(MEASURE_S / 4)  # the first parts are slower than the others
    before = len(plc.report().round_trips_s)
    time.sleep(MEASURE_S)
    rate = course.fastest = (len(plc.report().round_trips_s) - before) / MEASURE_S
    for _ in range(TRIES):
        rate *= STEP
        course.sustainable = RESERVE * rate
        begins_s, ends_s = _stretch(plc, rate, MEASURE_S)
        _let_run_empty(plc)
        tried = Phase(1, rate, begins_s, ends_s, _between(plc.records(), begins_s, ends_s))
        if len(tried.judged) == len(tried.parts):
            return
    course.problems.append(f"even {rate:.1f} parts/s were too many now and then; is this machine busy?")


def _overload(plc: PlcSimulator, stretch_s: float, course: OverloadRun) -> None:
    rates = [factor * course.sustainable for factor in FACTORS]
    times = [_stretch(plc, rate, stretch_s) for rate in rates]  # one at the heels of the other
    _let_run_empty(plc)
    for factor, rate, (begins_s, ends_s) in zip(FACTORS, rates, times, strict=True):
        course.phases.append(Phase(factor, rate, begins_s, ends_s, _between(plc.records(), begins_s, ends_s)))


def _stretch(plc: PlcSimulator, rate: float, length_s: float) -> tuple[float, float]:
    begins_s = time.monotonic()
    plc.pace(rate, MANY)
    time.sleep(length_s)
    return begins_s, time.monotonic()


def _let_run_empty(plc: PlcSimulator) -> None:
    plc.pace(0)
    time.sleep(2 * PLC_DEADLINE_S)


def _between(parts: Sequence[PartRecord], begins_s: float, ends_s: float) -> tuple[PartRecord, ...]:
    return tuple(part for part in parts if begins_s <= part.triggered_s < ends_s)


def check(course: OverloadRun) -> list[str]:
    """List the violations of deadlines, verdicts, order and recovery time."""
    found = [f"no answer in order: {line}" for line in _overtaken(course.parts)]
    for phase in course.phases:
        late = [part for part in phase.judged if part.result and part.result.latency_us > DEADLINE_S * 1e6]
        found += [f"part {part.trigger.part_id} was judged {part.round_trip_s} s after its trigger" for part in late]
        if faults := phase.verdicts[Verdict.FAULT] + phase.verdicts[Verdict.UNSURE]:
            found.append(f"{faults} parts at {phase.factor:g} times the rate are neither judged nor TIMEOUT")
    for before, after in pairwise(course.phases):
        if before.factor > after.factor and (after.recovered_s is None or after.recovered_s > RECOVERY_S):
            found.append(f"after {before.factor:g} times the rate it took {after.recovered_s} s to judge a part again")
        if after.factor == 1 and len(after.judged) < USUAL * len(after.parts):
            found.append(
                f"after {before.factor:g} times the rate only {len(after.judged)} of {len(after.parts)} are judged"
            )
    return found


def _overtaken(parts: Sequence[PartRecord]) -> list[str]:
    answered = [(part.answered_s, part.trigger.part_id) for part in parts if part.answered_s is not None]
    return [f"{second} before {first}" for (a, first), (b, second) in pairwise(answered) if b < a]
