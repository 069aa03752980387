"""Report of a trial: candidate and bundle in force on the same parts, with the inspectors' marks."""

import io
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bundle import Verdict
from edge.errors import RecordsError, ReleaseError
from edge.records.database import reading, version_of
from edge.reports.kappa import Estimate, wilson_share

SINCE_VERSION = 8
"""Schema version of the records that has trials."""
SHORT = 12
"""Characters of a bundle's id that are shown."""
TEXT_WIDTH = 120
"""Columns of the report as plain text."""
AGREE, NEW_PASSES, NEW_REJECTS, DROPPED = "agree", "old rejects, new passes", "old passes, new rejects", "dropped"


@dataclass(frozen=True)
class TrialCount:
    """Parts with the same outcome of both bundles."""

    candidate: str
    """Bundle id."""
    in_force: str
    """Bundle id."""
    outcome: str
    class_name: str
    """Of the strongest defect of the bundle that rejects; empty if both pass, or for a class that is not known."""
    parts: int
    good: int
    """Parts whose latest mark is good."""
    defective: int


@dataclass(frozen=True)
class TrialResult:
    """Result of a candidate's trial beside one bundle in force."""

    parts: int
    """Judged by both."""
    disagreements: int
    marked: int
    """Disagreements that inspectors have marked."""
    right: int
    """Marked disagreements on which the candidate is right."""
    escapes: int
    """Marked defective parts that the candidate alone passes."""
    found: int
    """Marked defective parts that the candidate alone rejects."""

    @property
    def is_worse(self) -> bool:
        """Whether the candidate misses more marked defects than it finds, or is wrong on more marks than right."""
        return self.escapes > self.found or self.marked > 2 * self.right

    def __str__(self) -> str:
        parts = [f"{self.parts} parts judged by both"]
        if self.parts:
            parts.append(f"{self.disagreements} disagreements ({_words(wilson_share(self.disagreements, self.parts))})")
            parts.append(f"{self.marked} of them marked")
        if self.marked:
            parts.append(f"the candidate is right on {self.right} ({_words(wilson_share(self.right, self.marked))})")
            parts.append(f"the bundle in force on {self.marked - self.right}")
            parts.append(f"the candidate alone passes {self.escapes} defective parts, and alone finds {self.found}")
        return ", ".join(parts)

    def to_json(self, anyway: bool) -> str:
        """As the column `trial` of a release has it; `anyway`: released in spite of it."""
        shares = {"disagreements_95": (self.disagreements, self.parts), "right_95": (self.right, self.marked)}
        intervals = {
            name: [round(bound, 4) for bound in (one.low, one.high)]
            for name, (count, whole) in shares.items() if whole for one in [wilson_share(count, whole)]
        }  # fmt: skip
        return json.dumps({**asdict(self), **intervals, "worse": self.is_worse, "anyway": anyway})


def trial_result(records: Path, candidate: str, in_force: str) -> TrialResult:
    """Sum up the trial of a candidate beside the bundle in force; raises RecordsError."""
    if not records.is_file():
        return TrialResult(0, 0, 0, 0, 0, 0)
    with reading(records) as connection:
        counts = trial_counts(connection) if version_of(connection) >= SINCE_VERSION else []
    return _result([one for one in counts if (one.candidate, one.in_force) == (candidate, in_force)])


def _result(counts: Sequence[TrialCount]) -> TrialResult:
    judged = [one for one in counts if one.outcome != DROPPED]
    apart = [one for one in judged if one.outcome != AGREE]
    passes, rejects = ([one for one in apart if one.outcome == outcome] for outcome in (NEW_PASSES, NEW_REJECTS))
    escapes, found = (sum(one.defective for one in some) for some in (passes, rejects))
    return TrialResult(
        parts=sum(one.parts for one in judged),
        disagreements=sum(one.parts for one in apart),
        marked=sum(one.good + one.defective for one in apart),
        right=sum(one.good for one in passes) + found,
        escapes=escapes,
        found=found,
    )


def check_trial(result: TrialResult, least_parts: int) -> None:
    """Refuse a release of a candidate that was worse or hardly on trial; raises ReleaseError."""
    again = "to release it all the same, say --anyway twice"
    if result.is_worse:
        raise ReleaseError(f"trial: found a candidate that is worse ({result}), expected a better one; {again}")
    if result.parts < least_parts:
        raise ReleaseError(f"trial: found {result}, expected {least_parts} parts or more; set [trial], or {again}")


def _words(share: Estimate) -> str:
    return f"{share.value:.1%}, 95 % interval {share.low:.1%} to {share.high:.1%}"


_COUNTS = f"""
    WITH compared AS (
        SELECT trials.bundle_id AS candidate, parts.bundle_id AS in_force, trials.verdict AS new,
            parts.verdict <> {Verdict.OK.value} AS old_rejects, trials.verdict <> {Verdict.OK.value} AS new_rejects,
            parts.class AS old_class, trials.class AS new_class,
            (SELECT truth FROM marks WHERE marks.part = trials.part ORDER BY marks.number DESC LIMIT 1) AS truth
        FROM trials JOIN parts ON parts.number = trials.part
    ), named AS (
        SELECT candidate, in_force, truth,
            CASE WHEN new IS NULL THEN '{DROPPED}' WHEN old_rejects = new_rejects THEN '{AGREE}'
                WHEN old_rejects THEN '{NEW_PASSES}' ELSE '{NEW_REJECTS}' END AS outcome,
            CASE WHEN new IS NULL THEN '' WHEN old_rejects THEN coalesce(old_class, '')
                ELSE coalesce(new_class, '') END AS class_name
        FROM compared
    )
    SELECT candidate, in_force, outcome, class_name, count(*), sum(truth IS 'good'), sum(truth IS 'defective')
    FROM named GROUP BY candidate, in_force, outcome, class_name
"""


def trial_counts(connection: sqlite3.Connection) -> list[TrialCount]:
    """Count the outcomes of all trials; raises RecordsError for records that are too old to have trials."""
    if version_of(connection) < SINCE_VERSION:
        raise RecordsError(
            f"records: found version {version_of(connection)}, which has no trials, expected {SINCE_VERSION} or later; "
            "restart the station with this edge-inspect"
        )
    return [TrialCount(*row) for row in connection.execute(_COUNTS)]


def trial_tables(records: Path) -> Iterator[Table | str]:
    """Yield a table for each candidate beside each bundle in force, with a summary; raises RecordsError."""
    with reading(records) as connection:
        counts = trial_counts(connection)
    if not counts:
        yield (
            f"records {records}: found no part of a trial; start one by `edge-inspect trial start`, or by [trial] in "
            "line.toml"
        )
    for candidate, in_force in sorted({(one.candidate, one.in_force) for one in counts}):
        these = [one for one in counts if (one.candidate, one.in_force) == (candidate, in_force)]
        yield _table(f"candidate {candidate[:SHORT]} beside {in_force[:SHORT]} in force", these)
        yield _summary(these)


def trial_text(records: Path) -> str:
    """Return the tables and summaries as plain text; raises RecordsError."""
    text = io.StringIO()
    Console(file=text, width=TEXT_WIDTH, markup=False, emoji=False).print(*trial_tables(records))
    return text.getvalue()


def _table(title: str, counts: Iterable[TrialCount]) -> Table:
    table = Table("verdicts", "class", "parts", "marked good", "marked defective", title=title)
    order = (AGREE, NEW_PASSES, NEW_REJECTS, DROPPED)
    for one in sorted(counts, key=lambda one: (order.index(one.outcome), one.class_name)):
        passed = "(both pass)" if one.outcome == AGREE else "-"
        numbers = str(one.parts), str(one.good), str(one.defective)
        table.add_row(one.outcome, Text(one.class_name or passed), *numbers)
    return table


def _summary(counts: Iterable[TrialCount]) -> str:
    return str(_result(list(counts)))
