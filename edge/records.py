"""The records: one row per trigger in SQLite, on disk before its result is sent.

One thread owns the connection. A row that the disk does not take stays in memory and is tried again until it does;
meanwhile every part is FAULT, because a verdict without a record would be lost with the power.
"""

import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any

from bundle import Verdict
from edge.errors import RecordsError
from edge.part import Outcome, Part, View

log = logging.getLogger(__name__)

VERSION = 1
RETRY_S = 0.25
"""A disk that refused a row is tried again with each new row, and at least this often."""
STAGES = ("frame", "prepared", "inferred", "decided", "recorded", "sent", "acknowledged")

Statement = tuple[str, tuple[Any, ...]]


class Kept(Enum):
    """What became of a row within the time allowed."""

    WRITTEN = "written"
    LATE = "late"
    """Not yet on disk; it will be written as soon as the disk answers."""
    REFUSED = "refused"
    """The disk refuses rows; the part's verdict is now FAULT, and its row waits in memory."""


@dataclass
class _Entry:
    """Statements that belong in one transaction, with who waits for them."""

    statements: list[Statement]
    as_fault: list[Statement] | None = None
    """The same row with the verdict FAULT, in case the disk refuses and somebody still waits."""
    kept: Kept | None = None
    done: threading.Event = field(default_factory=threading.Event)
    deciding: threading.Lock = field(default_factory=threading.Lock)

    def conclude(self, kept: Kept) -> Kept:
        """Fix what became of the row; the first to say so is right."""
        with self.deciding:
            if self.kept is None:
                self.kept = kept
                if kept is Kept.REFUSED and self.as_fault is not None:
                    self.statements = self.as_fault
            return self.kept


class Records:
    """An open database of verdicts. Safe to use from several threads."""

    def __init__(self, path: Path, utc: Callable[[], datetime] | None = None) -> None:
        """Open the database at `path`, made if it does not exist; raises RecordsError if it cannot be used."""
        self.path = path
        self.late = 0
        """Rows that reached the disk after their result was sent."""
        self.refusal = ""
        """Why the disk refuses rows at present; empty while it takes them."""
        self._utc = utc or (lambda: datetime.now(timezone.utc))
        self._connection = _connect(path)
        self.last_number = _last_number(self._connection)
        """Row of the latest trigger; whoever takes a trigger counts it up."""
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._backlog: deque[_Entry] = deque()
        self._thread = threading.Thread(target=self._write_all, name="records")
        self._thread.start()

    def keep(self, part: Part, wait_s: float) -> Kept:
        """Hand over the row of a settled part and wait at most `wait_s` seconds for the disk.

        If the disk refuses rows, the part's outcome becomes FAULT, and so does its row.
        """
        fault = Outcome(Verdict.FAULT, fault=f"{self.path}: {self.refusal or 'the disk refuses rows'}")
        time = self._utc().isoformat(timespec="milliseconds")
        entry = _Entry(self._row(part, part.outcome, time), self._row(part, fault, time))
        if self.refusal:
            entry.conclude(Kept.REFUSED)
        self._entries.put(entry)
        entry.done.wait(wait_s)
        kept = entry.conclude(Kept.LATE)
        if kept is Kept.REFUSED:
            part.outcome = fault
        return kept

    def note_delivery(self, part: Part, link: str) -> None:
        """Add what became of the result on the wire ('acknowledged' or 'undelivered'), without waiting."""
        statement = "UPDATE parts SET link = ?, sent_us = ?, acknowledged_us = ? WHERE number = ?"
        times = part.since_trigger_us("sent"), part.since_trigger_us("acknowledged")
        self._entries.put(_Entry([(statement, (link, *times, part.number))]))

    def note_picture(self, part_number: int, camera: str, picture: str) -> None:
        """Add where a view's picture has been kept, without waiting."""
        statement = "UPDATE views SET picture = ? WHERE part = ? AND camera = ?"
        self._entries.put(_Entry([(statement, (picture, part_number, camera))]))

    def close(self) -> int:
        """Write what is left and close; returns the number of entries that the disk still refused."""
        self._entries.put(None)
        self._thread.join()
        self._connection.close()
        return len(self._backlog)

    def _row(self, part: Part, outcome: Outcome | None, time: str) -> list[Statement]:
        if outcome is None:
            raise ValueError(f"part {part.number} has no verdict yet")
        worst = outcome.defects[0] if outcome.defects else None
        strongest = (worst.class_name, worst.score, worst.area_px) if worst else (None, None, None)
        stamps = {f"{stage}_us": part.since_trigger_us(stage) for stage in STAGES}
        columns = (
            "number",
            "time",
            "part_id",
            "encoder",
            "verdict",
            "told",
            "class",
            "score",
            "area_px",
            "fault",
            "bundle_id",
        )
        told = part.told or outcome.verdict
        identity = (part.number, time, part.part_id, part.encoder, int(outcome.verdict), int(told))
        values = (*identity, *strongest, outcome.fault, part.bundle_id, *stamps.values())
        statements = [_insert("parts", (*columns, *stamps), values)]
        for view in part.views:
            statements += _view_rows(part.number, view, with_defects=bool(outcome.defects))
        return statements

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
                entry.conclude(Kept.REFUSED)
                entry.done.set()
        return entry is not None

    def _write(self, entry: _Entry) -> bool:
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
        entry.done.set()
        if self.refusal:
            log.warning("records %s: the disk takes rows again, %d were waiting", self.path, len(self._backlog))
            self.refusal = ""
        return True

    def _refused(self, entry: _Entry, error: sqlite3.Error) -> None:
        if not self.refusal:
            log.error(
                "records %s: %s; every part is FAULT until the disk takes rows: free some space", self.path, error
            )
        self.refusal = str(error)
        entry.conclude(Kept.REFUSED)
        entry.done.set()


def next_number(path: Path) -> int:
    """Return the row that the next trigger will get; 1 if there is no database yet."""
    if not path.exists():
        return 1
    connection = _connect(path)
    try:
        return _last_number(connection) + 1
    finally:
        connection.close()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database of verdicts for reading only, while a station may be writing it; raises RecordsError."""
    if not path.is_file():
        raise RecordsError(f"records {path}: found no such file, expected a database of verdicts; check the path")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            _check_version(connection, path)
            yield connection
    except sqlite3.Error as error:
        raise RecordsError(f"records {path}: cannot be read ({error}); name a database of verdicts") from None


def _last_number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM parts").fetchone()[0])


def _view_rows(part: int, view: View, with_defects: bool) -> list[Statement]:
    if view.frame is None:
        return []
    height, width = view.frame.pixels.shape[:2]
    seen = (part, view.camera, view.exposure, view.frame.source, width, height)
    rows = [_insert("views", ("part", "camera", "exposure", "source", "width", "height"), seen)]
    names = ("part", "camera", "class", "score", "area_px", "area_mm2", "x", "y", "width", "height")
    for found in view.defects if with_defects else ():
        area_mm2 = None if view.mm2_per_px is None else found.area_px * view.mm2_per_px
        defect = (part, view.camera, found.class_name, found.score, found.area_px, area_mm2, *found.box)
        rows.append(_insert("defects", names, defect))
    return rows


def _insert(table: str, columns: tuple[str, ...], values: tuple[Any, ...]) -> Statement:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", values


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise RecordsError(f"records {path}: cannot be opened ({error}); check the path and permissions") from None
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise RecordsError(f"records {path}: cannot be used ({error}); free some space or name another file") from None
    except RecordsError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
        connection.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")
    _check_version(connection, path)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise RecordsError(
            f"records {path}: found version {version}, expected {VERSION}; "
            "name another file, or use the edge-inspect that wrote this one"
        )
