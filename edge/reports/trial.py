"""Report of a trial: candidate and bundle in force on the same parts, with the inspectors' marks."""

import io
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bundle import Verdict
from edge.errors import RecordsError
from edge.records.database import reading, version_of

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
        yield f"records {records}: found no part of a trial; set [trial] bundle in line.toml and restart the station"
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
    judged = [one for one in counts if one.outcome != DROPPED]
    apart = [one for one in judged if one.outcome != AGREE]
    marked = sum(one.good + one.defective for one in apart)
    right = sum(one.good if one.outcome == NEW_PASSES else one.defective for one in apart)
    return (
        f"{sum(one.parts for one in judged)} parts judged by both, {sum(one.parts for one in apart)} disagreements, "
        f"{marked} of them marked: the candidate is right on {right}, the bundle in force on {marked - right}"
    )
