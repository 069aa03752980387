"""Writer of the records: one row per trigger in SQLite, on disk before the part's result is sent.

One thread owns the connection. A row that the disk refuses stays in memory and is retried until the disk accepts it.
Meanwhile every part is FAULT, because a verdict without a row on disk would be lost at a power failure, or parts
continue if the line asks for that (`without_disk`). The memory is bounded: when it is full, every part is FAULT, and
its row is lost, counted and logged.
"""

import logging
import queue
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from bundle import Verdict
from edge.alarms import Alarm
from edge.config.defaults import ENTRIES_IN_MEMORY, LATE_ROWS
from edge.errors import RecordsError
from edge.part import Outcome, Part
from edge.records.database import advice, last_number
from edge.records.pending_write import PendingWrite, WriteStatus
from edge.records.record_file import FileReplacedError, RecordFile, RowError
from edge.records.rows import Statement, removal_of, statements_of
from edge.wall_clock import SteadyClock

log = logging.getLogger(__name__)

RETRY_S = 0.25
"""Longest time between two attempts to write a refused row; each new row is an attempt too."""

PICTURE_NAME = re.compile(r"/\d{6}-(\d+)-[^/]*$")
"""Name of a stored picture, with its part's row."""

ROWS_REFUSED, REPLACED = "rows refused", "records replaced"
"""Names of the alarms about rows in the side file, and about a database that was deleted or replaced."""


class Records:
    """Open database of verdicts. Safe to use from several threads."""

    def __init__(
        self,
        path: Path,
        utc: Callable[[], datetime] | None = None,
        *,
        without_disk: Literal["fault", "memory"] = "fault",
        entries_in_memory: int = ENTRIES_IN_MEMORY,
        late_rows: int = LATE_ROWS,
    ) -> None:
        """Open or create the database at `path`; raises RecordsError if that fails. The keywords are `Line`'s keys."""
        self.path = path
        self.lost = 0
        """Rows and updates for which memory had no room."""
        self.late = 0
        """Rows that reached the disk after their result was sent."""
        self.refusal = ""
        """Error of the disk that refuses rows; empty while it accepts them."""
        self.failure: BaseException | None = None
        """Exception that ended the writing thread; from then on every part is FAULT."""
        self._utc = utc or SteadyClock()
        self._without_disk = {"fault": WriteStatus.REFUSED, "memory": WriteStatus.IN_MEMORY}[without_disk]
        self._entries_in_memory, self._full = entries_in_memory, False
        self._late_rows, self._late_waiting = late_rows, 0
        self._beyond_late: PendingWrite | None = None  # latest row without a place among the late ones, until written
        self._counting = threading.Lock()
        self.rows_refused = 0
        """Rows and updates that cannot be written and stand in the side file `refused_rows`."""
        self.replacements = 0
        """Times that the database was found deleted or replaced, and was opened again."""
        self._file = RecordFile(path)
        self._numbers_refused: set[int] = set()
        self._last_number, self._numbering = last_number(self._file.connection), threading.Lock()
        self._pending: queue.SimpleQueue[PendingWrite | None] = queue.SimpleQueue()
        self._backlog: deque[PendingWrite] = deque()
        self._thread = threading.Thread(target=self._run, name="records")
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Problem of the disk and its effect on the parts; empty if there is none."""
        found = self.refusal or "the disk is too slow or hangs"
        if self._full:
            return f"{found}; the memory is full, {self.lost} entries are lost, every part is FAULT"
        if not self._refusing:
            return ""
        if self._without_disk is WriteStatus.IN_MEMORY:
            return (
                f"{found}; parts continue, {self.waiting} entries wait in memory and would be lost at a power failure"
            )
        return f"{found}; every part is FAULT, {self.waiting} entries wait in memory"

    @property
    def _refusing(self) -> bool:
        """True if the disk refuses rows, or `late_rows` of them are late and another would have been."""
        return bool(self.refusal) or self._beyond_late is not None

    @property
    def waiting(self) -> int:
        """Rows and updates that wait for the disk."""
        return self._pending.qsize() + len(self._backlog)

    @property
    def refused_rows(self) -> Path:
        """Side file of the rows that cannot be written, with their reasons."""
        return self._file.refused_rows

    @property
    def last_number(self) -> int:
        """Row of the latest trigger."""
        return self._last_number

    def new_number(self) -> int:
        """Reserve the row of the next trigger."""
        with self._numbering:
            self._last_number += 1
            return self._last_number

    def now(self) -> str:
        """Return the UTC time in the format of the rows."""
        return self._utc().isoformat(timespec="milliseconds")

    def begin(self, part: Part) -> PendingWrite:
        """Queue the row of a settled part; the return value can be waited for.

        If the disk refuses rows, part and row become FAULT, unless parts continue (`without_disk`).
        """
        part.time = part.time or self.now()
        fault = Outcome(Verdict.FAULT, fault=f"{self.path}: {self.refusal or 'the disk refuses rows'}")
        row = PendingWrite(statements_of(part), part.number, part, fault)
        self._queue(row)
        return row

    def keep(self, part: Part, wait_s: float) -> WriteStatus:
        """Queue the row of a settled part and wait at most `wait_s` seconds for the disk; see `begin`."""
        return self.wait(self.begin(part), wait_s)

    def wait(self, row: PendingWrite, wait_s: float) -> WriteStatus:
        """Wait at most `wait_s` seconds for a row; then it is LATE, or as on a disk that refuses rows.

        At most `late_rows` rows are LATE at a time, so a crash costs at most that number of rows of parts told OK.
        """
        known = row.wait(0.0 if self._refusing else wait_s)
        if known is not None:
            return known
        with self._counting:
            status = WriteStatus.LATE if self._late_waiting < self._late_rows else self._without_disk
            if not row.conclude(status):
                return row.status or status
            hung, late = self._beyond_late is not None, status is WriteStatus.LATE
            self._late_waiting += late
            self._beyond_late = self._beyond_late if late else row
        if not (hung or late):
            log.error("records %s: %s", self.path, self.trouble)
        return status

    def _late_row_written(self) -> None:
        with self._counting:
            self._late_waiting -= 1

    def _queue(self, pending: PendingWrite) -> None:
        if self.waiting < self._entries_in_memory:
            if self._refusing:
                pending.conclude(self._without_disk)
            self._pending.put(pending)
            if self.failure is not None:  # the thread that would write it has ended
                pending.conclude(WriteStatus.REFUSED)
            return
        self.lost += 1
        pending.conclude(WriteStatus.LOST)
        if not self._full:
            self._full = True
            log.error("records %s: %s", self.path, self.trouble)

    def note_delivery(self, part: Part, link: str) -> None:
        """Queue the delivery of the result to the PLC ('acknowledged' or 'undelivered')."""
        statement = "UPDATE parts SET link = ?, sent_us = ?, acknowledged_us = ? WHERE number = ?"
        times = part.since_trigger_us("sent"), part.since_trigger_us("acknowledged")
        self._update(part.number, statement, link, *times, part.number)

    def note_picture(self, part_number: int, camera: str, picture: str) -> None:
        """Queue the path of a view's stored picture."""
        statement = "UPDATE views SET picture = ? WHERE part = ? AND camera = ?"
        self._update(part_number, statement, picture, part_number, camera)

    def note_removed(self, pictures: Iterable[str], wait_s: float) -> None:
        """Queue that stored pictures are gone, and wait at most `wait_s` seconds until that is written.

        pictures: paths in their folder, named by `PictureStore`; others are ignored.
        """
        statement = "UPDATE views SET picture = NULL WHERE part = ? AND picture = ?"
        numbers = ((PICTURE_NAME.search(picture), picture) for picture in pictures)
        updates: list[Statement] = [(statement, (int(found[1]), picture)) for found, picture in numbers if found]
        if updates:
            pending = PendingWrite(updates, 0)
            self._queue(pending)
            pending.wait(wait_s)

    def note_ejection(self, part_number: int, ejection: str) -> None:
        """Queue what became of a rejected part ('ejected', 'escaped', 'confirmed', 'unconfirmed')."""
        self._update(part_number, "UPDATE parts SET ejection = ? WHERE number = ?", ejection, part_number)

    def note_trial(
        self,
        part_number: int,
        bundle_id: str,
        verdict: Verdict | None,
        class_name: str = "",
        score: float | None = None,
        outlines: str | None = None,
    ) -> None:
        """Queue a candidate's verdict on a part, None for a dropped part; left out while the disk refuses rows.

        outlines: as the column of this name has them.
        """
        if not self.trouble:
            statement = (
                "INSERT INTO trials (part, bundle_id, verdict, class, score, outlines) VALUES (?, ?, ?, ?, ?, ?)"
            )
            number = None if verdict is None else verdict.value
            self._update(part_number, statement, part_number, bundle_id, number, class_name or None, score, outlines)

    def note_challenged(self, part_number: int, challenge: int) -> None:
        """Queue that a part belongs to this challenge."""
        self._update(part_number, "UPDATE parts SET challenge = ? WHERE number = ?", challenge, part_number)

    def note_challenge(self, challenge: int, result: str, found: str, ended: str) -> None:
        """Queue the result of a challenge."""
        statement = "UPDATE challenges SET result = ?, found = ?, ended = ? WHERE number = ?"
        self._update(0, statement, result, found, ended, challenge)

    def note_alarm(self, alarm: Alarm, raised: bool) -> None:
        """Queue the beginning or the end of an alarm; a listener of `Alarms`."""
        began = alarm.since.isoformat(timespec="milliseconds")
        if raised:  # again for another part: it has its row already
            statement = (
                "INSERT INTO alarms (name, area, cause, part_id, began) SELECT ?, ?, ?, ?, ? "
                "WHERE NOT EXISTS (SELECT 1 FROM alarms WHERE began = ? AND name = ?)"
            )
            values = alarm.name, alarm.area.value, alarm.text, alarm.part_id, began, began, alarm.name
            self._update(0, statement, *values)
        else:
            self._update(0, "UPDATE alarms SET ended = ? WHERE began = ? AND name = ?", self.now(), began, alarm.name)

    def _update(self, number: int, statement: str, *values: object) -> None:
        self._queue(PendingWrite([(statement, values)], number))

    def close(self) -> int:
        """Write all that waits and close; returns the number of entries that the disk still refused.

        Entries for which memory had no room are in `lost` instead.
        """
        self._pending.put(None)
        self._thread.join()
        self._file.close()
        return self.waiting

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as error:  # the outermost loop of the thread: it must not end silently
            log.exception("records %s: the thread that writes them failed", self.path)
            self.refusal = f"the thread that writes rows failed ({type(error).__name__}: {error}), restart the station"
            self._without_disk = WriteStatus.REFUSED
            self.failure = error
            while not self._pending.empty():
                self._backlog.append(self._pending.get() or PendingWrite([], 0))
            for pending in self._backlog:
                pending.conclude(WriteStatus.REFUSED)

    def _write_all(self) -> None:
        open_end = True
        while open_end:
            open_end = self._take(RETRY_S if self._backlog else None)
            while self._backlog and self._write(self._backlog[0]):
                self._backlog.popleft()

    def _take(self, timeout_s: float | None) -> bool:
        """Move one queued entry to the backlog; false once the records are being closed."""
        try:
            pending = self._pending.get(timeout=timeout_s)
        except queue.Empty:
            return True
        if pending is not None:
            self._backlog.append(pending)
            if self.refusal:
                pending.conclude(self._without_disk)
        return pending is not None

    def _write(self, pending: PendingWrite) -> bool:
        """Write one entry, or its line of the side file; false if the disk refuses it."""
        try:
            if pending.number in self._numbers_refused:
                raise RowError(f"row {pending.number} itself could not be written")
            self._write_current(pending)
        except FileReplacedError as error:
            self.replacements += 1
            pending.conclude(self._without_disk)
            log.error("records %s: %s; rows before this one may be lost, the file is opened again", self.path, error)
            return False  # written by the next try, to the file that is then opened
        except RowError as error:
            return self._set_aside(pending, str(error))
        except (sqlite3.Error, RecordsError) as error:
            self._refused(pending, error)
            return False
        if pending.status is WriteStatus.LATE:
            self.late += 1
            self._late_row_written()
        self._accepted(pending)
        return True

    def _write_current(self, pending: PendingWrite) -> None:
        """Write an entry and fix its status; a row whose part was overruled while the disk hung is written again."""
        written = pending.statements
        self._file.write(written)
        pending.conclude(WriteStatus.WRITTEN)
        if pending.statements is not written:
            pending.statements = [*removal_of(pending.statements), *pending.statements]
            self._file.write(pending.statements)

    def _accepted(self, pending: PendingWrite) -> None:
        with self._counting:
            caught_up = pending is self._beyond_late
            if caught_up:
                self._beyond_late = None
        if self.refusal or caught_up:
            log.warning("records %s: the disk takes rows again, %d entries were waiting", self.path, self.waiting)
            self.refusal = ""
        if self._full and self.waiting <= self._entries_in_memory // 2:
            log.warning("records %s: memory has room again, %d entries have been lost so far", self.path, self.lost)
            self._full = False

    def _set_aside(self, pending: PendingWrite, reason: str) -> bool:
        """Put what no disk would take into the side file; its part is FAULT. False if that is refused as well."""
        if pending.fault is not None:
            pending.fault = replace(pending.fault, fault=f"{self.path}: this row cannot be written ({reason})")
        try:
            with self._numbering:  # a foreign row may have a higher number
                self._last_number = max(self._last_number, last_number(self._file.connection))
            pending.conclude(WriteStatus.REFUSED)
            self._file.set_aside(pending.number, self.now(), reason, pending.statements)
        except (OSError, sqlite3.Error) as error:
            self._refused(pending, error)
            return False
        self.rows_refused += 1
        if pending.status is WriteStatus.LATE:
            self._late_row_written()
        if pending.number:
            self._numbers_refused.add(pending.number)
        log.error("records %s: row %d cannot be written (%s): see %s",
                  self.path, pending.number, reason, self.refused_rows)  # fmt: skip
        self._accepted(pending)
        return True

    def _refused(self, pending: PendingWrite, error: Exception) -> None:
        before, self.refusal = self.refusal, str(error)
        if not before:
            log.error("records %s: %s; %s", self.path, self.trouble, advice(error))
        pending.conclude(self._without_disk)
