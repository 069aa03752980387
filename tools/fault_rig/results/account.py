"""Comparison of the three logs of a test: PLC, records, witness."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bundle import Verdict
from firmware_bridge.messages import Verdict as Told
from firmware_bridge.parts import PartFate, PartRecord, Report
from tools.fault_rig.equipment.witness import Evidence


@dataclass(frozen=True)
class AccountRow:
    """One part on record."""

    number: int
    part_id: int
    verdict: str
    told: str
    bundle_id: str
    link: str


@dataclass
class Account:
    """Result of a test: counts for the table, and the contradictions."""

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


Expected = Callable[[int, str], str]
"""Verdict of a direct call of a bundle on a part's own picture, by part id and bundle id."""


def read_rows(path: Path) -> tuple[list[AccountRow], str]:
    """Read the records of a stopped station; also returns SQLite's integrity check, "ok" if the file is intact."""
    with closing(sqlite3.connect(path)) as connection:
        whole = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        columns = "number, part_id, verdict, told, bundle_id, link"
        rows = connection.execute(f"SELECT {columns} FROM parts ORDER BY number").fetchall()
    return [
        AccountRow(n, part, Verdict(verdict).name, Verdict(told).name, *rest) for n, part, verdict, told, *rest in rows
    ], whole


def compare(
    parts: Sequence[PartRecord],
    report: Report,
    rows: Sequence[AccountRow],
    evidence: Evidence,
    truth: Callable[[int], str | None],
    expected: Expected,
) -> Account:
    """Compare the logs.

    parts and report: the PLC's; truth: the defect that a part really has; expected: see `Expected`.
    """
    account = Account(_counts(parts, report, rows, truth))
    account.problems += [
        *_triggers_against_rows(parts, rows, evidence),
        *_results_against_rows(parts, report, rows),
        *_order(evidence),
        *_good_without_inspection(rows, evidence),
        *_verdict_against_bundle(rows, truth, expected),
    ]
    return account


def _counts(
    parts: Sequence[PartRecord], report: Report, rows: Sequence[AccountRow], truth: Callable[[int], str | None]
) -> dict[str, int]:
    verdicts = Counter(row.verdict for row in rows)
    heard = {row.part_id for row in rows}
    passed = [part for part in parts if part.decision is PartFate.PASSED]
    return {
        "triggered by the PLC": len(parts),
        "results that the PLC applied": sum(part.result is not None for part in parts),
        "passed": len(passed),
        "passed although defective: the network's mistakes": sum(truth(p.trigger.part_id) is not None for p in passed),
        "rejected by the PLC's watchdog": report.unanswered,
        "of these, never heard by the station": sum(part.trigger.part_id not in heard for part in parts),
        "results that came after the watchdog": report.late,
        "rows": len(rows),
        **{f"rows {name}": verdicts[name] for name in ("OK", "NG", "UNSURE", "TIMEOUT", "FAULT")},
    }


def _triggers_against_rows(
    parts: Sequence[PartRecord], rows: Sequence[AccountRow], evidence: Evidence
) -> Iterator[str]:
    """Each trigger that the station received has exactly one row; there are no other rows."""
    known = {part.trigger.part_id for part in parts}
    counted = Counter(row.part_id for row in rows)
    yield from (f"part {part}: {count} rows, expected one" for part, count in counted.items() if count > 1)
    yield from (f"row of part {part}: the PLC triggered no such part" for part in counted.keys() - known)
    if [row.number for row in rows] != list(range(1, len(rows) + 1)):
        yield f"rows: found no unbroken numbers from 1 to {len(rows)}"
    if evidence.heard != len(rows):
        yield f"the runtime counted {evidence.heard} triggers, found {len(rows)} rows"
    if len(evidence.reported) != len(rows):
        yield f"{len(evidence.reported)} verdicts were reported, found {len(rows)} rows"
    for reported, row in zip(evidence.reported, rows, strict=False):
        if (reported.row, reported.part_id, reported.verdict) != (row.number, row.part_id, row.verdict):
            yield f"row {row.number}: {row.verdict} for part {row.part_id}, reported as {reported}"


def _results_against_rows(parts: Sequence[PartRecord], report: Report, rows: Sequence[AccountRow]) -> Iterator[str]:
    """Each result at the PLC equals its row; each acknowledged row has reached the PLC."""
    by_part = {row.part_id: row for row in rows}
    for part in parts:
        row, part_id = by_part.get(part.trigger.part_id), part.trigger.part_id
        if part.decision is PartFate.WAITING:
            yield f"part {part_id} was never decided"
        if part.result is None:
            continue
        if row is None or row.told != Told(part.verdict).name:
            yield f"part {part_id}: the PLC was told {part.verdict.name}, on record: {row}"
    answered = {part.trigger.part_id for part in parts if part.result is not None}
    unheard = sum(row.link == "acknowledged" and row.part_id not in answered for row in rows)
    if unheard > report.late:
        yield f"{unheard} rows are acknowledged without being applied, but {report.late} results came too late"
    if report.foreign:
        yield f"{report.foreign} results match no part"


def _order(evidence: Evidence) -> Iterator[str]:
    """Verdicts are reported in the order of the triggers."""
    for before, after in pairwise(evidence.reported):
        if after.row != before.row + 1:
            yield f"row {after.row} was reported after row {before.row}"


def _good_without_inspection(rows: Sequence[AccountRow], evidence: Evidence) -> Iterator[str]:
    """Each OK part has its own picture, and the engine has returned a result for that picture."""
    told_good = {row.number for row in rows if "OK" in (row.verdict, row.told)}
    for part in evidence.reported:
        if part.row not in told_good and part.verdict != "OK":
            continue
        own = evidence.photographed.get(part.part_id)
        if own is None:
            yield f"part {part.part_id} is OK, but the camera took no picture of it"
        elif part.picture != own:
            yield f"part {part.part_id} is OK by the picture of another part"
        elif not part.judged:
            yield f"part {part.part_id} is OK, but the engine never answered on its picture"


def _verdict_against_bundle(
    rows: Sequence[AccountRow], truth: Callable[[int], str | None], expected: Expected
) -> Iterator[str]:
    """A wrong verdict is an error of the network: a direct call of the bundle gives the same verdict."""
    for row in rows:
        right = "OK" if truth(row.part_id) is None else "NG"
        if row.verdict in ("OK", "NG") and row.verdict != right:
            directly = expected(row.part_id, row.bundle_id)
            if directly != row.verdict:
                yield f"part {row.part_id} is {row.verdict}, its truth and its bundle say {right} and {directly}"
