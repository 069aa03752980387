"""Rows that are still to be forwarded, read from the station's records in bounded batches."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import ServerError
from edge.forwarding.progress import Progress
from edge.records.database import reading, version_of

PART_COLUMNS = (
    "number", "time", "part_id", "encoder", "verdict", "told", "class", "score", "area_px", "fault", "bundle_id",
    "frame_us", "prepared_us", "inferred_us", "decided_us", "recorded_us", "sent_us", "acknowledged_us", "link",
    "challenge", "ejection",
)  # fmt: skip
VIEW_COLUMNS = ("camera", "exposure", "source", "width", "height", "picture")
DEFECT_COLUMNS = ("camera", "class", "score", "area_px", "area_mm2", "x", "y", "width", "height")
ALARM_COLUMNS = ("number", "name", "area", "cause", "part_id", "began", "ended")
LEAST_VERSION = 3
"""First version of the records with all these columns."""

Row = tuple[Any, ...]


@dataclass(frozen=True)
class StoredPart:
    """Rows of one part, with the columns named above."""

    row: Row
    views: Sequence[Row]
    defects: Sequence[Row]

    @property
    def number(self) -> int:
        """Row in the records."""
        return int(self.row[0])

    @property
    def time(self) -> str:
        """Trigger time, UTC."""
        return str(self.row[1])


@dataclass(frozen=True)
class RowBatch:
    """Rows to be forwarded next, and the progress once they are."""

    parts: Sequence[StoredPart]
    alarms: Sequence[Row]
    progress: Progress
    complete: bool
    """Whether no further rows wait."""


def read_batch(records: Path, progress: Progress, most: int) -> RowBatch:
    """Read the next parts, at most about `most`, and alarms; raises RecordsError, or ServerError for other records."""
    if not records.exists():
        return RowBatch([], [], progress, complete=True)
    with reading(records) as connection:
        if version_of(connection) < LEAST_VERSION:
            return RowBatch([], [], progress, complete=True)  # the station migrates it when it starts
        connection.execute("BEGIN")
        start = _checked(connection, records, progress)
        rows: list[Row] = []
        for first, last in _spans(start):  # the gaps first, so that none is given up with rows in it
            if len(rows) < most:
                rows += _part_rows(connection, first, last, most)
        parts = list(_with_children(connection, sorted(rows)))
        alarms = _alarm_rows(connection, start, most)
    beyond = bool(parts) and parts[-1].number > start.last
    after = start.with_parts([(part.number, part.time) for part in parts], ends_gaps=beyond)
    after = after.with_alarms([(row[0], row[-1] is not None) for row in alarms])
    return RowBatch(parts, alarms, after, complete=len(rows) < most and len(alarms) < most)


def read_parts(records: Path, numbers: Sequence[int]) -> list[StoredPart]:
    """Read these parts again, in the order of their numbers; raises RecordsError."""
    if not numbers:
        return []
    with reading(records) as connection:
        connection.execute("BEGIN")
        wanted = set(numbers)
        rows = _part_rows(connection, min(numbers), max(numbers), max(numbers) - min(numbers) + 1)
        return list(_with_children(connection, [row for row in rows if row[0] in wanted]))


def _checked(connection: sqlite3.Connection, records: Path, progress: Progress) -> Progress:
    """Return the progress with the identity of the records; raises ServerError if they are not those of before."""
    found = connection.execute("SELECT number, time FROM parts ORDER BY number LIMIT 1").fetchone()
    highest = connection.execute("SELECT coalesce(max(number), 0) FROM parts").fetchone()[0]
    first_row = "{} {}".format(*found) if found else ""
    if progress.last > highest or (
        first_row != progress.first_row and progress.first_row and found[0] <= progress.last
    ):
        raise ServerError(
            f"{records}: found other or older records (first row {first_row or 'none'}, last {highest}) than those "
            f"whose rows to {progress.last} were forwarded for the station {progress.station!r}; restore them, or "
            "give the station another name"
        )
    return progress.model_copy(update={"first_row": first_row})


def _spans(progress: Progress) -> Iterator[tuple[int, int]]:
    """First and last number of each gap, and of what follows the last row."""
    yield from ((gap.first, gap.last) for gap in progress.gaps)
    yield progress.last + 1, 2**62


def _part_rows(connection: sqlite3.Connection, first: int, last: int, most: int) -> list[Row]:
    query = f"SELECT {', '.join(PART_COLUMNS)} FROM parts WHERE number BETWEEN ? AND ? ORDER BY number LIMIT ?"
    return connection.execute(query, (first, last, most)).fetchall()


def _with_children(connection: sqlite3.Connection, rows: Sequence[Row]) -> Iterator[StoredPart]:
    views = _children(connection, "views", VIEW_COLUMNS, rows)
    defects = _children(connection, "defects", DEFECT_COLUMNS, rows)
    return (StoredPart(row, views.get(row[0], ()), defects.get(row[0], ())) for row in rows)


def _children(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Row]
) -> dict[int, list[Row]]:
    """Rows of a table by part, in the order in which they were written."""
    found: dict[int, list[Row]] = defaultdict(list)
    query = f"SELECT part, {', '.join(columns)} FROM {table} WHERE part BETWEEN ? AND ? ORDER BY part, rowid"
    for first, last in _runs([row[0] for row in rows]):
        for part, *values in connection.execute(query, (first, last)):
            found[part].append(tuple(values))
    return found


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    starts = [at for at in range(len(numbers)) if at == 0 or numbers[at] != numbers[at - 1] + 1]
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=False):
        yield numbers[start], numbers[end - 1]


def _alarm_rows(connection: sqlite3.Connection, progress: Progress, most: int) -> list[Row]:
    """Alarms that are new, then those that have ended since they were forwarded."""
    columns = ", ".join(ALARM_COLUMNS)
    new = connection.execute(
        f"SELECT {columns} FROM alarms WHERE number > ? ORDER BY number LIMIT ?", (progress.alarms, most)
    ).fetchall()
    marks = ", ".join("?" for _ in progress.alarms_open)
    ended = connection.execute(
        f"SELECT {columns} FROM alarms WHERE number IN ({marks}) AND ended IS NOT NULL", progress.alarms_open
    ).fetchall()
    return [*ended, *new]
