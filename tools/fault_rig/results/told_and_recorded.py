"""Results that the PLC was told, compared with the rows of a station that was killed several times."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.messages import Verdict
from firmware_bridge.parts import PartFate, PartRecord

IN_THE_WRITERS_HANDS = 1
"""Rows of a killed station that may say OK where the PLC was told FAULT: the one whose write hung."""


@dataclass
class Comparison:
    """Counts over all parts, and what must not be."""

    triggered: int = 0
    told: int = 0
    passed: int = 0
    rows: int = 0
    rows_not_told: int = 0
    ok_without_row: list[int] = field(default_factory=list)
    """Parts told OK without a row, for each life of the station."""
    rejected_without_row: int = 0
    rejected_recorded_ok: int = 0
    """Parts told FAULT whose row says OK: the safe way round."""
    integrity: str = ""
    problems: list[str] = field(default_factory=list)


def compare(path: Path, lives: Sequence[Mapping[int, PartRecord]], late_rows: int) -> Comparison:
    """Compare a database with the parts of each life of the station, by part id; each life ended with a kill."""
    with closing(sqlite3.connect(path)) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
        rows = connection.execute("SELECT part_id, verdict FROM parts").fetchall()
    recorded: dict[int, list[int]] = {}
    for part_id, verdict in rows:
        recorded.setdefault(part_id, []).append(verdict)
    found = Comparison(rows=len(rows), integrity=integrity)
    if integrity != "ok":
        found.problems.append(f"database: {integrity}")
    for number, parts in enumerate(lives, start=1):
        _compare_life(f"life {number}", parts, recorded, late_rows, found)
    told = {part_id for parts in lives for part_id, part in parts.items() if part.verdict is not Verdict.NONE}
    found.rows_not_told = len(set(recorded) - told)
    return found


def _compare_life(
    name: str, parts: Mapping[int, PartRecord], recorded: Mapping[int, list[int]], late_rows: int, found: Comparison
) -> None:
    counts: Counter[str] = Counter()
    for part_id, part in parts.items():
        row = recorded.get(part_id)
        found.triggered += 1
        found.passed += part.decision is PartFate.PASSED
        if part.decision is PartFate.WAITING:
            found.problems.append(f"part {part_id} was never decided")
        if part.verdict is Verdict.NONE:
            continue
        found.told += 1
        if row is None:
            counts["OK without row" if part.verdict is Verdict.OK else "rejected without row"] += 1
        elif row == [Verdict.OK.value] and part.verdict is Verdict.FAULT:
            counts["rejected, recorded OK"] += 1
        elif row != [part.verdict.value]:
            found.problems.append(f"part {part_id}: the PLC was told {part.verdict.name}, on record {row}")
    found.ok_without_row.append(counts["OK without row"])
    found.rejected_without_row += counts["rejected without row"]
    found.rejected_recorded_ok += counts["rejected, recorded OK"]
    for what, most in {"OK without row": late_rows, "rejected, recorded OK": IN_THE_WRITERS_HANDS}.items():
        if counts[what] > most:
            found.problems.append(f"{name}: found {counts[what]} parts {what}, expected {most} at most")
