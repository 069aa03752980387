"""Central records as the target of a forwarder: rows and progress in one transaction.

Delivery, ejection and pictures are noted in a row after it was written. So each row is read again after `REVISE_S`, and
updated where it has changed.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from edge.central.database import CentralDatabase, merge
from edge.config.central import CentralSettings
from edge.forwarding.messages import ForwardingTask
from edge.forwarding.progress import Progress
from edge.forwarding.row_source import (
    ALARM_COLUMNS,
    DEFECT_COLUMNS,
    PART_COLUMNS,
    VIEW_COLUMNS,
    RowBatch,
    StoredPart,
    read_parts,
)
from edge.servers.state import StationState

BATCH_ROWS = 2000
REVISE_S = 120.0
"""Time after which a row is complete: confirmations of the bin come within a minute."""
STATE_S = 2.0
"""Interval of the station's state."""
STILL_OPEN = 10_000
"""Rows without an end of their delivery that are read again at a start, at most."""


class CentralTarget:
    """Forwards the rows and the state of one station."""

    batch_rows = BATCH_ROWS

    def __init__(
        self, task: ForwardingTask, clock: Callable[[], float] = monotonic, revise_s: float = REVISE_S
    ) -> None:
        """`revise_s`: time after which rows are read again."""
        settings = CentralSettings.model_validate_json(task.settings)
        self._database, self._station, self._records = CentralDatabase(settings), settings.station, task.records
        self._clock, self._revise_s = clock, revise_s
        self._progress = Progress(station=settings.station)
        self._to_revise: deque[tuple[float, list[int]]] = deque()  # when, which
        self._told_at = -STATE_S

    def open(self) -> Progress:
        """Connect, and read the progress; raises ServerError."""
        self._database.open()
        self._database.take_station(self._station)
        first = Progress(station=self._station)
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO edge_inspect.stations (station, progress, revised) VALUES (%s, %s, 0) "
                "ON CONFLICT (station) DO UPDATE SET station = excluded.station RETURNING progress, revised",
                (self._station, first.model_dump_json()),
            )
            found, revised = cursor.fetchone() or ({}, 0)
            self._progress = Progress.model_validate_json(json.dumps(found))
            cursor.execute(
                "SELECT number FROM edge_inspect.parts WHERE station = %s AND number <= %s AND link = 'open' "
                "ORDER BY number DESC LIMIT %s",
                (self._station, revised, STILL_OPEN),
            )
            still_open = sorted(number for (number,) in cursor.fetchall())
        self._to_revise.clear()
        for first_number in range(revised + 1, self._progress.last + 1, BATCH_ROWS):
            last = min(first_number + BATCH_ROWS - 1, self._progress.last)
            self._later([*range(first_number, last + 1)])
        self._later(still_open)
        return self._progress

    def send(self, batch: RowBatch) -> None:
        """Write rows and progress; raises ServerError."""
        if batch.parts or batch.alarms or batch.progress != self._progress:
            self._database.make_partitions({part.time for part in batch.parts})
            with self._database.transaction() as cursor:
                self._write_parts(cursor, batch.parts)
                alarms = [(self._station, *row) for row in batch.alarms]
                merge(cursor, "alarms", ("station", *ALARM_COLUMNS), ("station", "number"), alarms)
                cursor.execute(
                    "UPDATE edge_inspect.stations SET progress = %s WHERE station = %s",
                    (batch.progress.model_dump_json(), self._station),
                )
            self._progress = batch.progress
            self._later([part.number for part in batch.parts])
        if batch.complete and self._to_revise and self._to_revise[0][0] <= self._clock():
            self._revise()

    def tell(self, state: StationState) -> None:
        """Write the state, not more often than every `STATE_S`; a stop at once. Raises ServerError."""
        if self._clock() - self._told_at < STATE_S and not state.stopping:
            return
        self._told_at = self._clock()
        with self._database.transaction() as cursor:
            cursor.execute(
                "UPDATE edge_inspect.stations SET state = %s, seen = now() WHERE station = %s",
                (state.model_dump_json(), self._station),
            )

    def requested_changeovers(self) -> tuple[int, ...]:
        """Return none: the database requests nothing."""
        return ()

    def close(self) -> None:
        """Read the latest rows again, and disconnect; raises ServerError."""
        try:
            while self._to_revise and self._database.is_open:
                self._revise()
        finally:
            self._database.close()

    def _later(self, numbers: list[int]) -> None:
        if numbers:
            self._to_revise.append((self._clock() + self._revise_s, numbers))

    def _revise(self) -> None:
        _, numbers = self._to_revise[0]
        parts = read_parts(Path(self._records), numbers)
        without = [part.number for part in parts if not part.defects]  # such as a part that was overruled
        with self._database.transaction() as cursor:
            self._write_parts(cursor, parts)
            cursor.execute(
                "DELETE FROM edge_inspect.defects WHERE station = %s AND part = ANY(%s)", (self._station, without)
            )
            cursor.execute(
                "UPDATE edge_inspect.stations SET revised = greatest(revised, %s) WHERE station = %s",
                (numbers[-1], self._station),
            )
        self._to_revise.popleft()

    def _write_parts(self, cursor: Any, parts: Sequence[StoredPart]) -> None:
        rows = [(self._station, *part.row) for part in parts]
        merge(cursor, "parts", ("station", *PART_COLUMNS), ("station", "number", "time"), rows)
        for table, columns in (("views", VIEW_COLUMNS), ("defects", DEFECT_COLUMNS)):
            of_part = ("station", "part", "time", "item")
            merge(cursor, table, (*of_part, *columns), of_part, [*self._children(parts, table)])

    def _children(self, parts: Iterable[StoredPart], table: str) -> Iterable[tuple[Any, ...]]:
        for part in parts:
            for item, row in enumerate(part.views if table == "views" else part.defects):
                yield (self._station, part.number, part.time, item, *row)
