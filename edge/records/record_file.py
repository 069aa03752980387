"""The open database file of a station: locked for one writer, watched for being replaced."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from edge.errors import RecordsError
from edge.records.database import connect
from edge.records.rows import Statement, removal_of

ROW_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
    TypeError,
)
"""Exceptions of a row that SQLite refuses on any disk: duplicate key, text that is not Unicode, integer overflow."""


class RowError(Exception):
    """The row itself cannot be written; others can."""


class FileReplacedError(Exception):
    """The file is no longer at its path, or is another one; the latest rows may be lost."""


class RecordFile:
    """A database with an exclusive lock for its one writer. Used by one thread, after it has been opened."""

    def __init__(self, path: Path) -> None:
        """Lock and open the database, made or migrated if need be; raises RecordsError."""
        self.path = path
        self.refused_rows = path.with_name(f"{path.stem}.refused.jsonl")
        """Side file of the rows that cannot be written, one JSON object a line."""
        self._replaced = False
        self._open()

    def _open(self) -> None:
        self._lock: int | None = _lock(self.path)
        try:
            self.connection = connect(self.path)
            self._identity = _identity(self.path)
        except BaseException:
            self._unlock()
            raise

    def write(self, statements: Sequence[Statement]) -> None:
        """Execute statements in one transaction.

        Raises RowError; FileReplacedError, after which the next call opens the file that is now at the path, made if
        there is none; RecordsError and sqlite3.Error where the disk does not take the rows.
        """
        if self._replaced:
            self.close()
            self._open()
            self._replaced, statements = False, [*removal_of(statements), *statements]
        try:
            with self.connection:
                self.connection.execute("BEGIN")
                for statement, values in statements:
                    self.connection.execute(statement, values)
        except ROW_ERRORS as error:
            raise RowError(str(error)) from None
        self._check_identity()

    def set_aside(self, number: int, time: str, reason: str, statements: Sequence[Statement]) -> None:
        """Append statements that cannot be written to the side file, on disk when this returns; raises OSError."""
        row = {"number": number, "time": time, "reason": reason, "statements": statements}
        with self.refused_rows.open("a", encoding="ascii") as file:
            file.write(json.dumps(row, default=repr) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the database and give up the lock."""
        try:
            self.connection.close()
        except sqlite3.Error:
            if not self._replaced:
                raise
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_identity(self) -> None:
        found = _identity(self.path)
        if found != self._identity:
            self._replaced = True
            what = next(name for name, now in found.items() if now != self._identity[name])
            raise FileReplacedError(f"{what} was deleted, truncated or replaced while the station was writing it")


def _identity(path: Path) -> dict[str, tuple[int, int] | None]:
    """Device and inode of the database and its write-ahead log, which exists while a writer has the file open."""
    return {name: _inode(path.with_name(name)) for name in (path.name, f"{path.name}-wal")}


def _inode(path: Path) -> tuple[int, int] | None:
    """None where there is no such file, or an empty database."""
    try:
        found = path.stat()
    except OSError:
        return None
    empty = found.st_size == 0 and not path.name.endswith("-wal")
    return None if empty else (found.st_dev, found.st_ino)


def _lock(path: Path) -> int:
    """Take the lock beside the database; raises RecordsError where another process has it, or the disk refuses.

    flock(2) on a file of its own: closing any descriptor of the database would drop SQLite's own locks.
    """
    place = path.with_name(f"{path.name}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with ExitStack() as opened:
            opened.callback(os.close, lock)
            _take(lock, path)
            opened.pop_all()
    except OSError as error:
        raise RecordsError(
            f"records {path}: cannot be opened ({error}); check the path, the space and the permissions"
        ) from None
    return lock


def _take(lock: int, path: Path) -> None:
    """Lock an open file and write this process into it; raises RecordsError where another has it, and OSError."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise RecordsError(
            f"records {path}: in use by process {holder}, expected no other station; give each line a file of its own"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
