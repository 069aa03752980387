"""Summary of a soak test as a table and as JSON."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from rich.table import Table

from firmware_bridge.messages import Verdict
from tools.fault_rig.equipment.belt import truth
from tools.fault_rig.equipment.bundles import ask_directly
from tools.fault_rig.equipment.witness import read_evidence
from tools.fault_rig.places import Places
from tools.fault_rig.results.account import Account, compare, read_rows
from tools.fault_rig.results.slope import Slope, fit
from tools.fault_rig.scenarios.soak import SoakRun, SoakSettings

WARM_UP = 1 / 6
"""Share of a test that is left out of the slopes as warm-up."""
LEAKS_SHOW_S = 1800.0
"""Shortest test whose slopes are checked; in a shorter one caches still fill, and the slopes are only shown."""
CALM_S = 6.0
"""Longest effect of a fault after its end: a lost camera is reopened every few seconds."""


@dataclass(frozen=True)
class Limits:
    """Largest growth of memory and open files per hour."""

    memory_mib: float = 8.0
    files: float = 1.0


@dataclass(frozen=True)
class Summary:
    """All results of a soak test."""

    settings: SoakSettings
    course: SoakRun
    account: Account
    memory: Slope
    files: Slope

    def to_json(self) -> str:
        """JSON text; paths as strings."""
        facts: dict[str, Any] = {
            "settings": {key: str(value) for key, value in asdict(self.settings).items()},
            "length_s": self.course.length_s,
            "faults": Counter(fault.kind for fault in self.course.struck),
            "reloads": self.course.reloads,
            "counts": self.account.counts,
            "memory": _known(self.memory),
            "files": _known(self.files),
            "problems": self.account.problems,
        }
        return json.dumps(facts, indent=2)

    def table(self) -> Table:
        """Table for the terminal."""
        table = Table("soak", f"{self.course.length_s / 60:.0f} min at {self.settings.rate:g} parts/s")
        for name, count in self.account.counts.items():
            table.add_row(name, f"{count:,}")
        table.add_section()
        for kind, count in sorted(Counter(fault.kind for fault in self.course.struck).items()):
            seconds = sum(fault.ends_s - fault.begins_s for fault in self.course.struck if fault.kind == kind)
            table.add_row(kind, f"{count}" + (f", {seconds:.0f} s in all" if seconds else ""))
        for outcome, count in self.course.reloads.items():
            table.add_row(f"SIGHUP with a bundle: {outcome}", f"{count}")
        table.add_section()
        table.add_row("resident memory", _spread([one.memory_mib for one in self.course.samples], "MiB"))
        table.add_row("its slope after warm-up", _slope(self.memory, "MiB"))
        table.add_row("open files", _spread([one.files for one in self.course.samples], ""))
        table.add_row("its slope after warm-up", _slope(self.files, ""))
        table.add_section()
        table.add_row("contradictions", str(len(self.account.problems)))
        return table


def sum_up(settings: SoakSettings, course: SoakRun, places: Places, limits: Limits) -> Summary:
    """Compare the logs of a finished test."""
    if course.report is None:
        raise ValueError("the run is not over")
    rows, whole = read_rows(places.saved_records)
    evidence = read_evidence(places.witness)
    account = compare(course.parts, course.report, rows, evidence, truth, ask_directly(list(settings.bundles)))
    account.counts |= _calm_counts(course)
    account.problems[:0] = course.problems
    if whole != "ok":
        account.problems.append(f"database: {whole}")
    warm = [one for one in course.samples if one.at_s >= WARM_UP * course.length_s]
    times = [one.at_s for one in warm]
    memory, files = fit(times, [one.memory_mib for one in warm]), fit(times, [one.files for one in warm])
    if course.length_s >= LEAKS_SHOW_S:
        account.problems += leaks(memory, files, limits)
    return Summary(settings, course, account, memory, files)


def leaks(memory: Slope, files: Slope, limits: Limits) -> list[str]:
    """Messages for memory and open files whose lower bound of the slope exceeds its limit."""
    found = []
    if memory.rises > limits.memory_mib:
        found.append(f"memory rises by at least {memory.rises:.1f} MiB an hour")
    if files.rises > limits.files:
        found.append(f"open files rise by at least {files.rises:.1f} an hour")
    return found


def _calm_counts(course: SoakRun) -> dict[str, int]:
    """Count the parts that no fault can have affected, and those of them that were not judged."""
    spans = [(fault.begins_s - 1, fault.ends_s + CALM_S) for fault in course.struck]
    calm = [
        part
        for part in course.parts
        if not any(begin <= part.triggered_s - course.started <= end for begin, end in spans)
    ]
    judged = sum(part.verdict in (Verdict.OK, Verdict.NG) for part in calm)
    return {"triggered far from any fault": len(calm), "of these, not judged": len(calm) - judged}


def _known(slope: Slope) -> dict[str, float] | None:
    return None if isnan(slope.per_hour) else asdict(slope)


def _spread(values: list[float] | list[int], unit: str) -> str:
    return f"{min(values):.0f} to {max(values):.0f} {unit}" if values else "never measured"


def _slope(slope: Slope, unit: str) -> str:
    if isnan(slope.per_hour):
        return "too short to tell"
    return f"{slope.per_hour:+.2f} ± {slope.uncertainty:.2f} {unit} an hour"
