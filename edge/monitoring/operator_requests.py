"""Operator requests to a running station: challenges and acknowledgements, queued as rows in its records.

The station polls the rows twice a second. A request needs write access to the file, but no port and no password; its
time and author stay on record.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge.config.challenge import ChallengeSettings
from edge.errors import OperatorRequestError
from edge.records.database import advice, connect_existing

TAKEN_S = 5.0
"""Time within which a running station accepts a request."""
POLL_S = 0.1


@dataclass(frozen=True)
class ChallengeRequest:
    """Requested challenge, as its row has it."""

    number: int
    parts: int
    expected: str | None


def challenges_asked(connection: sqlite3.Connection) -> list[ChallengeRequest]:
    """Return the challenges that the station has not accepted yet."""
    query = "SELECT number, parts, class FROM challenges WHERE result = 'asked'"
    return [ChallengeRequest(*row) for row in connection.execute(query)]


def acknowledgements_asked(connection: sqlite3.Connection) -> list[int]:
    """Return the acknowledgements that the station has not processed yet."""
    return [number for (number,) in connection.execute("SELECT number FROM acknowledgements WHERE alarms IS NULL")]


def abandon_open(connection: sqlite3.Connection) -> None:
    """Abandon the challenges that an earlier run of the station left open."""
    connection.execute("UPDATE challenges SET result = 'abandoned', ended = ? WHERE result = 'open'", (_now(),))


def last_passed(connection: sqlite3.Connection, now: datetime) -> datetime | None:
    """Return the UTC time of the last passed challenge, not after `now`; None if there is none."""
    query = "SELECT max(ended) FROM challenges WHERE result = 'passed' AND ended <= ?"
    (ended,) = connection.execute(query, (now.isoformat(timespec="milliseconds"),)).fetchone()
    return None if ended is None else datetime.fromisoformat(ended)


def challenge(
    records: Path, settings: ChallengeSettings, who: str, say: Callable[[str], None], taken_s: float = TAKEN_S
) -> str:
    """Request a challenge from the station that writes these records, and wait for its end; returns what was found.

    say: called with the prompt for the operator. Raises OperatorRequestError if the station does not respond, or the
    challenge is not passed.
    """
    values = (_now(), who, settings.parts, settings.expected)
    number = _insert(records, "INSERT INTO challenges (time, who, parts, class) VALUES (?, ?, ?, ?)", values)
    question = f"SELECT result, found FROM challenges WHERE number = {number}"
    try:
        result, _ = _wait(records, question, lambda row: row[0] != "asked", taken_s)
        if result == "open":
            say(f"Put {settings.parts} known bad part(s) on the line now, before any other part.")
        wait_s = settings.timeout_minutes * 60 + taken_s
        result, found = _wait(records, question, lambda row: row[0] not in ("asked", "open"), wait_s)
    except BaseException:  # Ctrl-C as well
        _execute(
            records,
            "UPDATE challenges SET result = 'abandoned', ended = ? WHERE number = ? AND result IN ('asked', 'open')",
            (_now(), number),
        )
        raise
    if result != "passed":
        wanted = f"NG {settings.expected}" if settings.expected else "NG"
        raise OperatorRequestError(
            f"challenge {number} {result}: found {found or 'no part'}, expected {settings.parts} x {wanted}; "
            "check camera, lamp and thresholds before production continues"
        )
    return str(found)


def acknowledge(records: Path, who: str, taken_s: float = TAKEN_S) -> str:
    """Acknowledge the alarms of the station that writes these records; returns the names of those that it cleared.

    Raises OperatorRequestError if the station does not respond.
    """
    number = _insert(records, "INSERT INTO acknowledgements (time, who) VALUES (?, ?)", (_now(), who))
    question = f"SELECT alarms FROM acknowledgements WHERE number = {number}"
    try:
        return str(_wait(records, question, lambda row: row[0] is not None, taken_s)[0])
    except OperatorRequestError:
        _execute(records, "UPDATE acknowledgements SET alarms = '' WHERE number = ?", (number,))
        raise


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _insert(records: Path, statement: str, values: tuple[object, ...]) -> int:
    if not records.exists():
        raise OperatorRequestError(
            f"records {records}: found no such file, expected the records of a running station; start it first"
        )
    return _execute(records, statement, values)


def _execute(records: Path, statement: str, values: tuple[object, ...]) -> int:
    try:
        with closing(connect_existing(records)) as connection:
            return int(connection.execute(statement, values).lastrowid or 0)
    except sqlite3.Error as error:
        raise OperatorRequestError(f"records {records}: cannot be written ({error}); {advice(error)}") from None


def _wait(
    records: Path, question: str, answered: Callable[[tuple[object, ...]], bool], timeout_s: float
) -> tuple[object, ...]:
    end = time.monotonic() + timeout_s
    with closing(connect_existing(records)) as connection:
        while True:
            row: tuple[object, ...] = connection.execute(question).fetchone()
            if answered(row):
                return row
            if time.monotonic() >= end:
                raise OperatorRequestError(
                    f"records {records}: found no answer within {timeout_s:g} s, expected one from the station that "
                    "writes them; is it running with this line.toml?"
                )
            time.sleep(POLL_S)
