"""What people ask of a running station: rows in its records, which it looks at twice a second.

So an order needs no port and no password but the right to write the file, and stands there with its time and author.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge.config.challenge import ChallengeSettings
from edge.errors import OrderError
from edge.records.database import connect

TAKEN_S = 5.0
"""A running station takes notice of an order within this time."""
POLL_S = 0.1


@dataclass(frozen=True)
class Order:
    """A challenge that somebody asks for, in the words of its row."""

    number: int
    parts: int
    expected: str | None


def challenges_asked(connection: sqlite3.Connection) -> list[Order]:
    """Return the challenges that the station has not taken notice of."""
    return [
        Order(*row) for row in connection.execute("SELECT number, parts, class FROM challenges WHERE result = 'asked'")
    ]


def acknowledgements_asked(connection: sqlite3.Connection) -> list[int]:
    """Return the acknowledgements that the station has not taken notice of."""
    return [number for (number,) in connection.execute("SELECT number FROM acknowledgements WHERE alarms IS NULL")]


def forget(connection: sqlite3.Connection) -> None:
    """Give up the challenges that a station before this one had begun."""
    connection.execute("UPDATE challenges SET result = 'abandoned', ended = ? WHERE result = 'open'", (_now(),))


def last_passed(connection: sqlite3.Connection, now: datetime) -> datetime | None:
    """Return when the last challenge was passed, UTC."""
    query = "SELECT max(ended) FROM challenges WHERE result = 'passed' AND ended <= ?"
    (ended,) = connection.execute(query, (now.isoformat(timespec="milliseconds"),)).fetchone()
    return None if ended is None else datetime.fromisoformat(ended)


def challenge(
    records: Path, settings: ChallengeSettings, who: str, say: Callable[[str], None], taken_s: float = TAKEN_S
) -> str:
    """Start a challenge at the station that writes these records and wait for its end; returns what was found.

    Raises OrderError if the station does not run, or the challenge is not passed.
    """
    values = (_now(), who, settings.parts, settings.expected)
    number = _insert(records, "INSERT INTO challenges (time, who, parts, class) VALUES (?, ?, ?, ?)", values)
    question = f"SELECT result, found FROM challenges WHERE number = {number}"
    try:
        result, _ = _wait(records, question, lambda row: row[0] != "asked", taken_s)
        if result == "open":
            say(f"Put {settings.parts} known bad part(s) on the line now; nothing else may come before.")
        wait_s = settings.timeout_minutes * 60 + taken_s
        result, found = _wait(records, question, lambda row: row[0] not in ("asked", "open"), wait_s)
    except BaseException:  # Ctrl-C as well: nobody waits for it any more
        _execute(
            records,
            "UPDATE challenges SET result = 'abandoned', ended = ? WHERE number = ? AND result IN ('asked', 'open')",
            (_now(), number),
        )
        raise
    if result != "passed":
        wanted = f"NG {settings.expected}" if settings.expected else "NG"
        raise OrderError(
            f"challenge {number} {result}: found {found or 'no part'}, expected {settings.parts} x {wanted}; "
            "check camera, lamp and thresholds before parts are trusted"
        )
    return str(found)


def acknowledge(records: Path, who: str, taken_s: float = TAKEN_S) -> str:
    """Tell the station that somebody has looked after its alarms; returns those that it ended.

    Raises OrderError if the station does not run.
    """
    number = _insert(records, "INSERT INTO acknowledgements (time, who) VALUES (?, ?)", (_now(), who))
    question = f"SELECT alarms FROM acknowledgements WHERE number = {number}"
    try:
        return str(_wait(records, question, lambda row: row[0] is not None, taken_s)[0])
    except OrderError:
        _execute(records, "UPDATE acknowledgements SET alarms = '' WHERE number = ?", (number,))
        raise


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _insert(records: Path, statement: str, values: tuple[object, ...]) -> int:
    if not records.exists():
        raise OrderError(f"records {records}: found no such file, expected those of a running station; start it first")
    return _execute(records, statement, values)


def _execute(records: Path, statement: str, values: tuple[object, ...]) -> int:
    try:
        with closing(connect(records)) as connection:
            return int(connection.execute(statement, values).lastrowid or 0)
    except sqlite3.Error as error:
        raise OrderError(f"records {records}: cannot be written ({error}); check the disk and permissions") from None


def _wait(
    records: Path, question: str, answered: Callable[[tuple[object, ...]], bool], timeout_s: float
) -> tuple[object, ...]:
    end = time.monotonic() + timeout_s
    with closing(connect(records)) as connection:
        while True:
            row: tuple[object, ...] = connection.execute(question).fetchone()
            if answered(row):
                return row
            if time.monotonic() >= end:
                raise OrderError(
                    f"records {records}: found no answer within {timeout_s:g} s, expected one from the station that "
                    "writes them; is it running with this line.toml?"
                )
            time.sleep(POLL_S)
