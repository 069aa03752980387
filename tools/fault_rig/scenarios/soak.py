"""Soak test: constant rate with faults at random times."""

import json
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from firmware_bridge.parts import PartRecord, Report
from firmware_bridge.wiring import LinkKind
from tools.fault_rig.line_text import PLC_DEADLINE_S
from tools.fault_rig.places import Places
from tools.fault_rig.process import wait_until
from tools.fault_rig.rig import Rig, open_rig
from tools.fault_rig.scenarios.plan import PlannedFault, draw_plan

TICK_S = 0.05
SAMPLE_S = 10.0
START_S = 240.0
"""Longest wait for the first result after the start."""

ANSWER_S = 60.0
"""Longest wait for the outcome of the last reload at the end; a busy machine takes long to open a bundle."""


@dataclass(frozen=True)
class SoakSettings:
    """Settings of a soak test."""

    hours: float
    rate: float
    seed: int
    density: float
    bundles: tuple[Path, Path]
    way: LinkKind = LinkKind.FRAMED


@dataclass(frozen=True)
class SoakSample:
    """Measurement of the station's process; times in seconds from the start."""

    at_s: float
    memory_mib: float
    files: int
    threads: int


@dataclass
class SoakRun:
    """Measurements of a run from outside the station."""

    started: float = 0.0
    """Time of the first result, in seconds of the monotonic clock."""
    length_s: float = 0.0
    samples: list[SoakSample] = field(default_factory=list)
    struck: list[PlannedFault] = field(default_factory=list)
    """With their actual start and end times."""
    reloads: dict[str, int] = field(default_factory=dict)
    parts: list[PartRecord] = field(default_factory=list)
    report: Report | None = None
    problems: list[str] = field(default_factory=list)


def run(settings: SoakSettings, places: Places, stop: threading.Event) -> SoakRun:
    """Run a test until its end or `stop`; samples and faults are written to files at once."""
    course = SoakRun()
    with open_rig(places, settings.bundles, settings.rate, settings.seed, settings.way) as rig:
        if wait_until(lambda: bool(rig.plc.report().round_trips_s) or not rig.station.alive, START_S):
            _strike(rig, settings, places, stop, course)
        else:
            course.problems.append(f"the station answered nothing within {START_S:.0f} s of its start")
        _end(rig, places, course)
    return course


def _strike(rig: Rig, settings: SoakSettings, places: Places, stop: threading.Event, course: SoakRun) -> None:
    course.started, length_s = time.monotonic(), settings.hours * 3600
    plan = draw_plan(settings.seed, length_s, settings.density)
    due = [(fault.begins_s, True, fault) for fault in plan] + [(fault.ends_s, False, fault) for fault in plan]
    due.sort(key=lambda event: event[0])
    begun: dict[PlannedFault, float] = {}
    with places.samples.open("w") as samples, places.faults.open("w") as faults:
        while (now := time.monotonic() - course.started) < length_s and not stop.wait(TICK_S):
            course.length_s = now
            if rig.broken:
                course.problems.append(f"{rig.broken} ended by itself after {now:.0f} s; the log says why")
                break
            while due and due[0][0] <= now:
                _, on, fault = due.pop(0)
                rig.throw(fault.kind, on)
                if on:
                    begun[fault] = now
                else:
                    course.struck.append(replace(fault, begins_s=begun.pop(fault), ends_s=now))
                _write(faults, {"at_s": now, "kind": fault.kind, "on": on})
            if not course.samples or now >= course.samples[-1].at_s + SAMPLE_S:
                process = rig.station
                course.samples.append(SoakSample(now, process.memory_mib(), process.open_files(), process.threads()))
                _write(samples, asdict(course.samples[-1]))
            rig.tick()
    for fault, at_s in begun.items():  # those that an early end cuts short
        rig.throw(fault.kind, False)
        course.struck.append(replace(fault, begins_s=at_s, ends_s=course.length_s))


def _end(rig: Rig, places: Places, course: SoakRun) -> None:
    """Wait for the open parts, stop the station, collect the results."""
    rig.plc.pace(0)
    time.sleep(2 * PLC_DEADLINE_S)
    wait_until(lambda: rig.reloads.answered() or not rig.station.alive, ANSWER_S)
    if rig.station.alive and (status := rig.station.stop()):
        course.problems.append(f"the station ended with status {status}")
    course.parts, course.report = rig.plc.records(), rig.plc.report()
    course.reloads = rig.reloads.counts()
    course.problems += rig.reloads.problems()
    with suppress(FileNotFoundError):
        shutil.copy(places.records, places.saved_records)


def _write(file: Any, facts: dict[str, Any]) -> None:
    print(json.dumps(facts), file=file, flush=True)
