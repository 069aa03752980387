"""The SQLite file of the records: opened by the station, by its operators, or for reading only."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from edge.errors import RecordsError

log = logging.getLogger(__name__)

VERSION = 10
"""Schema version; `schema/N.sql` migrates version N-1, or an empty file, to version N."""
ADVICE = {
    "full": "free some space",
    "readonly": "check its permissions, and whether the disk is mounted read-only",
    "locked": "another program holds the file; end it",
    "no such": "another program has changed the tables; restore the file, or name another one",
    "has no column": "another program has changed the tables; restore the file, or name another one",
    "not a database": "name another file",
    "malformed": "restore the file from a copy, or name another one",
    "disk I/O error": "check the disk and its cable",
    "unable to open": "check the path and permissions",
}
"""Advice by a phrase of SQLite's error message."""


def advice(problem: object) -> str:
    """Say what to do about an error of SQLite, in the words of its cause."""
    return next((words for cause, words in ADVICE.items() if cause in str(problem)), "check the disk and the file")


def connect(path: Path) -> sqlite3.Connection:
    """Open a station's database for writing, made or migrated if need be; raises RecordsError.

    A database of an earlier version is copied first, to `<name>.version-<N>`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordsError(f"records {path}: cannot be opened ({error}); check the path and permissions") from None
    return _opened(path, "rwc", _prepare)


def connect_existing(path: Path) -> sqlite3.Connection:
    """Open the database of a running station for writing; it is neither made nor migrated. Raises RecordsError."""
    _check_exists(path)
    return _opened(path, "rw", _check_same_version)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading while a station may write it; raises RecordsError.

    Its schema may be older, see `version_of`.
    """
    _check_exists(path)
    try:
        with closing(_opened(path, "ro", _check_version)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise RecordsError(f"records {path}: cannot be read ({error}); {advice(error)}") from None


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version; 0 without tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def last_number(connection: sqlite3.Connection) -> int:
    """Return the row of the latest trigger; 0 if there is none."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM parts").fetchone()[0])


def next_number(path: Path) -> int:
    """Return the row of the next trigger; 1 without a database."""
    if not path.exists():
        return 1
    with reading(path) as connection:
        return last_number(connection) + 1 if version_of(connection) else 1


def _opened(path: Path, mode: str, check: Callable[[sqlite3.Connection, Path], None]) -> sqlite3.Connection:
    address = f"{path.resolve().as_uri()}?mode={mode}"
    try:
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise RecordsError(f"records {path}: cannot be opened ({error}); {advice(error)}") from None
    try:
        check(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise RecordsError(f"records {path}: cannot be used ({error}); {advice(error)}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    _check_version(connection, path)
    found = version_of(connection)
    if 0 < found < VERSION:
        log.info("records %s: version %d is copied to %s", path, found, _copy(connection, path, found))
    for version in range(found + 1, VERSION + 1):
        step = (Path(__file__).parent / "schema" / f"{version}.sql").read_text(encoding="utf-8")
        connection.executescript(f"BEGIN IMMEDIATE; {step} COMMIT;")
    if 0 < found < VERSION:
        log.info("records %s: migrated from version %d to %d", path, found, VERSION)


def _copy(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy a database as it is; one that was copied before stays."""
    copy = path.with_name(f"{path.name}.version-{version}")
    draft = copy.with_name(f"{copy.name}.part")
    if copy.exists():
        return copy
    try:
        draft.unlink(missing_ok=True)
        with closing(sqlite3.connect(draft)) as target:
            connection.backup(target)
        draft.replace(copy)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise RecordsError(
            f"records {path}: version {version} cannot be copied to {copy} before it is migrated ({error}); "
            "free some space, or check the permissions of the folder"
        ) from None
    return copy


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise RecordsError(f"records {path}: found no such file, expected a database of verdicts; check the path")


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = version_of(connection)
    if version > VERSION:
        raise RecordsError(
            f"records {path}: found version {version}, expected at most {VERSION}; "
            "name another file, or use the edge-inspect that wrote this one"
        )


def _check_same_version(connection: sqlite3.Connection, path: Path) -> None:
    version = version_of(connection)
    if version != VERSION:
        raise RecordsError(
            f"records {path}: found version {version}, expected {VERSION}; restart the station with this edge-inspect"
        )
