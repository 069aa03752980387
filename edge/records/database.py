"""The file of the records: opened for writing, with its version brought up to date, or for reading only."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge.errors import RecordsError

log = logging.getLogger(__name__)

VERSION = 2
"""Of the tables; `schema/N.sql` makes version N of the one before it, and version 1 of an empty file."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for writing, made or brought up to date if need be; raises RecordsError."""
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


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database of verdicts for reading only, while a station may be writing it; raises RecordsError.

    It may be of an earlier version; `version_of` tells.
    """
    if not path.is_file():
        raise RecordsError(f"records {path}: found no such file, expected a database of verdicts; check the path")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            _check_version(connection, path)
            yield connection
    except sqlite3.Error as error:
        raise RecordsError(f"records {path}: cannot be read ({error}); name a database of verdicts") from None


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 if there are none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def last_number(connection: sqlite3.Connection) -> int:
    """Return the row of the latest trigger, 0 if there is none."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM parts").fetchone()[0])


def next_number(path: Path) -> int:
    """Return the row that the next trigger will get; 1 if there is no database yet."""
    if not path.exists():
        return 1
    with closing(connect(path)) as connection:
        return last_number(connection) + 1


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    found = _check_version(connection, path)
    for version in range(found + 1, VERSION + 1):
        step = (Path(__file__).parent / "schema" / f"{version}.sql").read_text(encoding="utf-8")
        connection.executescript(f"BEGIN IMMEDIATE; {step} COMMIT;")
    if 0 < found < VERSION:
        log.info("records %s: brought from version %d to %d", path, found, VERSION)


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    version = version_of(connection)
    if version > VERSION:
        raise RecordsError(
            f"records {path}: found version {version}, expected at most {VERSION}; "
            "name another file, or use the edge-inspect that wrote this one"
        )
    return version
