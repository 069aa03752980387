"""The records: one row per trigger in SQLite, on disk before its result is sent.

One thread owns the connection. A row that the disk does not take stays in memory and is tried again until it does;
meanwhile every part is FAULT, because a verdict without a record would be lost with the power, or, where the line wants
that, goes on. There is room for so many rows; beyond that every part is FAULT, and its row is lost, counted and said.
"""

import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from bundle import Verdict
from edge.part import Outcome, Part
from edge.records.database import connect, last_number
from edge.records.entry import Entry, Kept
from edge.records.rows import statements_of

log = logging.getLogger(__name__)

RETRY_S = 0.25
"""A disk that refused a row is tried again with each new row, and at least this often."""
ENTRIES_IN_MEMORY = 20_000
"""One is about a kilobyte; a part has two or three, its row and what became of its result, its picture, itself."""


class Records:
    """An open database of verdicts. Safe to use from several threads."""

    def __init__(
        self,
        path: Path,
        utc: Callable[[], datetime] | None = None,
        *,
        goes_on: bool = False,
        entries_in_memory: int = ENTRIES_IN_MEMORY,
    ) -> None:
        """Open the database at `path`, made if it does not exist; raises RecordsError if it cannot be used.

        goes_on: whether verdicts stand while the disk refuses their rows. entries_in_memory: room for so many rows and
        later notes on them.
        """
        self.path = path
        self.lost = 0
        """Rows and notes for which memory had no room."""
        self.late = 0
        """Rows that reached the disk after their result was sent."""
        self.refusal = ""
        """Why the disk refuses rows at present; empty while it takes them."""
        self._utc = utc or (lambda: datetime.now(timezone.utc))
        self._without_disk = Kept.IN_MEMORY if goes_on else Kept.REFUSED
        self._entries_in_memory, self._full = entries_in_memory, False
        self._connection = connect(path)
        self.last_number = last_number(self._connection)
        """Row of the latest trigger; whoever takes a trigger counts it up."""
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._backlog: deque[Entry] = deque()
        self._thread = threading.Thread(target=self._write_all, name="records")
        self._thread.start()

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, and what that means for the parts; empty while all is well."""
        found = self.refusal or "the disk is too slow, or hangs"
        if self._full:
            return f"{found}; memory has room for no more, {self.lost} entries are lost, every part is FAULT"
        if self.refusal and self._without_disk is Kept.IN_MEMORY:
            return f"{found}; parts go on, {self.waiting} entries wait in memory and would be lost with the power"
        return f"{found}; every part is FAULT, {self.waiting} entries wait in memory" if self.refusal else ""

    @property
    def waiting(self) -> int:
        """Rows, and later notes on them, that wait for the disk."""
        return self._entries.qsize() + len(self._backlog)

    def now(self) -> str:
        """Return the time of day as rows have it."""
        return self._utc().isoformat(timespec="milliseconds")

    def begin(self, part: Part) -> Entry:
        """Hand over the row of a settled part; what is returned can be waited for.

        If the disk refuses rows, the part's outcome becomes FAULT, and so does its row, unless the line goes on.
        """
        part.time = part.time or self.now()
        fault = Outcome(Verdict.FAULT, fault=f"{self.path}: {self.refusal or 'the disk refuses rows'}")
        row = Entry(statements_of(part), part, fault)
        self._hand_over(row)
        return row

    def keep(self, part: Part, wait_s: float) -> Kept:
        """Hand over the row of a settled part and wait at most `wait_s` seconds for the disk; see `begin`."""
        return self.begin(part).wait(wait_s)

    def _hand_over(self, entry: Entry) -> None:
        if self.waiting < self._entries_in_memory:
            if self.refusal:
                entry.conclude(self._without_disk)
            self._entries.put(entry)
            return
        self.lost += 1
        entry.conclude(Kept.LOST)
        if not self._full:
            self._full = True
            log.error("records %s: %s", self.path, self.trouble)

    def note_delivery(self, part: Part, link: str) -> None:
        """Add what became of the result on the wire ('acknowledged' or 'undelivered'), without waiting."""
        statement = "UPDATE parts SET link = ?, sent_us = ?, acknowledged_us = ? WHERE number = ?"
        times = part.since_trigger_us("sent"), part.since_trigger_us("acknowledged")
        self._hand_over(Entry([(statement, (link, *times, part.number))]))

    def note_picture(self, part_number: int, camera: str, picture: str) -> None:
        """Add where a view's picture has been kept, without waiting."""
        statement = "UPDATE views SET picture = ? WHERE part = ? AND camera = ?"
        self._hand_over(Entry([(statement, (picture, part_number, camera))]))

    def note_ejection(self, part_number: int, ejection: str) -> None:
        """Add what became of a rejected part ('ejected', 'escaped', 'confirmed', 'unconfirmed'), without waiting."""
        self._hand_over(Entry([("UPDATE parts SET ejection = ? WHERE number = ?", (ejection, part_number))]))

    def note_challenged(self, part_number: int, challenge: int) -> None:
        """Add that a part is a known bad one, without waiting."""
        self._hand_over(Entry([("UPDATE parts SET challenge = ? WHERE number = ?", (challenge, part_number))]))

    def note_challenge(self, challenge: int, result: str, found: str, ended: str) -> None:
        """Add how a challenge ended, without waiting."""
        statement = "UPDATE challenges SET result = ?, found = ?, ended = ? WHERE number = ?"
        self._hand_over(Entry([(statement, (result, found, ended, challenge))]))

    def close(self) -> int:
        """Write what is left and close; returns the number of entries that the disk still refused.

        Those for which memory had no room are not among them; see `lost`.
        """
        self._entries.put(None)
        self._thread.join()
        self._connection.close()
        return len(self._backlog)

    def _write_all(self) -> None:
        open_end = True
        while open_end:
            open_end = self._take(RETRY_S if self._backlog else None)
            while self._backlog and self._write(self._backlog[0]):
                self._backlog.popleft()

    def _take(self, timeout_s: float | None) -> bool:
        """Move what was handed over into the backlog; false once the records are being closed."""
        try:
            entry = self._entries.get(timeout=timeout_s)
        except queue.Empty:
            return True
        if entry is not None:
            self._backlog.append(entry)
            if self.refusal:
                entry.conclude(self._without_disk)
        return entry is not None

    def _write(self, entry: Entry) -> bool:
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                for statement, values in entry.statements:
                    self._connection.execute(statement, values)
        except sqlite3.Error as error:
            self._refused(entry, error)
            return False
        if entry.conclude(Kept.WRITTEN) is Kept.LATE:
            self.late += 1
        if self.refusal:
            log.warning("records %s: the disk takes rows again, %d entries were waiting", self.path, self.waiting)
            self.refusal = ""
        if self._full and self.waiting <= self._entries_in_memory // 2:
            log.warning("records %s: memory has room again, %d entries have been lost so far", self.path, self.lost)
            self._full = False
        return True

    def _refused(self, entry: Entry, error: sqlite3.Error) -> None:
        before, self.refusal = self.refusal, str(error)
        if not before:
            log.error("records %s: %s; free some space", self.path, self.trouble)
        entry.conclude(self._without_disk)
