"""Operator requests to a running station: challenges, acknowledgements, pauses and trials, queued in its records.

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


@dataclass(frozen=True)
class PauseRequest:
    """Pause that has not ended, as its row has it."""

    number: int
    who: str
    reason: str
    began: str | None
    """UTC time at which the station took it; None before."""
    end_asked: bool


def open_pause(connection: sqlite3.Connection) -> PauseRequest | None:
    """Return the latest pause that has not ended, those whose end is asked for last; None if there is none."""
    query = """SELECT number, who, reason, began, end_asked IS NOT NULL FROM pauses
        WHERE ended IS NULL ORDER BY end_asked IS NOT NULL, number DESC LIMIT 1"""
    row = connection.execute(query).fetchone()
    return None if row is None else PauseRequest(*row)


def note_pause(connection: sqlite3.Connection, pause: PauseRequest, ended: bool = False) -> None:
    """Note that the station has taken a pause, or its end."""
    column = "ended" if ended else "began"
    connection.execute(f"UPDATE pauses SET {column} = ? WHERE number = ? AND {column} IS NULL", (_now(), pause.number))


def abandon_open(connection: sqlite3.Connection) -> None:
    """Abandon the challenges that an earlier run of the station left open."""
    connection.execute("UPDATE challenges SET result = 'abandoned', ended = ? WHERE result = 'open'", (_now(),))


def last_passed(connection: sqlite3.Connection, now: datetime) -> datetime | None:
    """Return the UTC time of the last passed challenge, not after `now`; None if there is none."""
    query = "SELECT max(ended) FROM challenges WHERE result = 'passed' AND ended <= ?"
    (ended,) = connection.execute(query, (now.isoformat(timespec="milliseconds"),)).fetchone()
    return None if ended is None else datetime.fromisoformat(ended)


def trials_asked(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Return number, user and folder of the trials that the station has not taken yet; an empty folder ends a trial."""
    return connection.execute("SELECT number, who, bundle FROM trial_requests WHERE taken IS NULL").fetchall()


def note_trial_taken(connection: sqlite3.Connection, number: int) -> None:
    """Note that the station has taken a request for a trial."""
    connection.execute("UPDATE trial_requests SET taken = ? WHERE number = ?", (_now(), number))


def challenge(
    records: Path, settings: ChallengeSettings, who: str, say: Callable[[str], None], taken_s: float = TAKEN_S
) -> str:
    """Request a challenge from the station that writes these records, and wait for its end; returns what was found.

    say: called with the prompt for the operator. Raises OperatorRequestError if the station does not respond, or the
    challenge is not passed.
    """
    number = begin_challenge(records, settings, who, taken_s=taken_s)
    question = f"SELECT result, found FROM challenges WHERE number = {number}"
    try:
        say(f"Put {settings.parts} known bad part(s) on the line now, before any other part.")
        wait_s = settings.timeout_minutes * 60 + taken_s
        result, found = _wait(records, question, lambda row: row[0] not in ("asked", "open"), wait_s)
    except BaseException:  # Ctrl-C as well
        _abandon(records, number)
        raise
    if result != "passed":
        wanted = f"NG {settings.expected}" if settings.expected else "NG"
        raise OperatorRequestError(
            f"challenge {number} {result}: found {found or 'no part'}, expected {settings.parts} x {wanted}; "
            "check camera, lamp and thresholds before production continues"
        )
    return str(found)


def begin_challenge(
    records: Path, settings: ChallengeSettings, who: str, reason: str = "", taken_s: float = TAKEN_S
) -> int:
    """Request a challenge and wait until the station has begun it; returns its number.

    Raises OperatorRequestError if the station does not respond.
    """
    values = (_now(), who, settings.parts, settings.expected, reason)
    statement = "INSERT INTO challenges (time, who, parts, class, reason) VALUES (?, ?, ?, ?, ?)"
    number = _insert(records, statement, values)
    try:
        _wait(records, f"SELECT result FROM challenges WHERE number = {number}", lambda row: row[0] != "asked", taken_s)
    except BaseException:  # Ctrl-C as well
        _abandon(records, number)
        raise
    return number


def pause(records: Path, who: str, reason: str, taken_s: float = TAKEN_S) -> None:
    """Pause the station that writes these records: every part is FAULT until `resume`, also across a restart.

    Raises OperatorRequestError if the station does not respond; the pause is then withdrawn.
    """
    number = _insert(records, "INSERT INTO pauses (time, who, reason) VALUES (?, ?, ?)", (_now(), who, reason))
    try:
        _wait(records, f"SELECT began FROM pauses WHERE number = {number}", lambda row: row[0] is not None, taken_s)
    except OperatorRequestError:
        _execute(records, "DELETE FROM pauses WHERE number = ? AND began IS NULL", (number,))
        raise


def resume(records: Path, who: str, taken_s: float = TAKEN_S) -> None:
    """End all pauses of the station that writes these records.

    Raises OperatorRequestError if the station does not respond.
    """
    _check_written(records)
    statement = "UPDATE pauses SET end_asked = ?, end_who = ? WHERE ended IS NULL AND end_asked IS NULL"
    _execute(records, statement, (_now(), who))
    none_open = """INSERT INTO pauses (time, who, reason, end_asked, end_who) SELECT ?, ?, 'no pause on record', ?, ?
        WHERE NOT EXISTS (SELECT 1 FROM pauses WHERE ended IS NULL)"""
    _execute(records, none_open, (_now(), who, _now(), who))  # the row of a pause in force may be gone
    _wait(records, "SELECT count(*) FROM pauses WHERE ended IS NULL", lambda row: row[0] == 0, taken_s)


def acknowledge(records: Path, who: str, reason: str = "", taken_s: float = TAKEN_S) -> str:
    """Acknowledge the alarms of the station that writes these records; returns the names of those that it cleared.

    Raises OperatorRequestError if the station does not respond.
    """
    values = (_now(), who, reason)
    number = _insert(records, "INSERT INTO acknowledgements (time, who, reason) VALUES (?, ?, ?)", values)
    question = f"SELECT alarms FROM acknowledgements WHERE number = {number}"
    try:
        return str(_wait(records, question, lambda row: row[0] is not None, taken_s)[0])
    except OperatorRequestError:
        _execute(records, "UPDATE acknowledgements SET alarms = '' WHERE number = ?", (number,))
        raise


def switch_trial(records: Path, bundle: Path | None, who: str, taken_s: float = TAKEN_S) -> None:
    """Put this candidate on trial, in place of one that is, or end the trial; lasts until the station ends.

    Raises OperatorRequestError if the station does not respond; the request is then withdrawn.
    """
    values = _now(), who, "" if bundle is None else str(bundle.absolute())
    number = _insert(records, "INSERT INTO trial_requests (time, who, bundle) VALUES (?, ?, ?)", values)
    question = f"SELECT taken FROM trial_requests WHERE number = {number}"
    try:
        _wait(records, question, lambda row: row[0] is not None, taken_s)
    except BaseException:  # Ctrl-C as well
        _execute(records, "DELETE FROM trial_requests WHERE number = ? AND taken IS NULL", (number,))
        raise


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _abandon(records: Path, number: int) -> None:
    statement = "UPDATE challenges SET result = 'abandoned', ended = ? WHERE number = ? AND result IN ('asked', 'open')"
    _execute(records, statement, (_now(), number))


def _insert(records: Path, statement: str, values: tuple[object, ...]) -> int:
    _check_written(records)
    return _execute(records, statement, values)


def _check_written(records: Path) -> None:
    if not records.exists():
        raise OperatorRequestError(
            f"records {records}: found no such file, expected the records of a running station; start it first"
        )


def _execute(records: Path, statement: str, values: tuple[object, ...]) -> int:
    try:
        with closing(connect_existing(records)) as connection:
            return int(connection.execute(statement, values).lastrowid or 0)
    except UnicodeEncodeError:
        raise OperatorRequestError("found a name or reason that is no Unicode text; write it again") from None
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


def rollout_request(records: Path) -> Path:
    """Return the file beside the records whose change asks for a station's step of a rollout; systemd watches it."""
    return records.with_name(f"{records.stem}.rollout")


def ask_for_rollout_step(records: Path, identity: str) -> None:
    """Ask for a step of a rollout; raises OperatorRequestError."""
    try:
        rollout_request(records).write_text(f"{identity}\n", encoding="utf-8")
    except OSError as error:
        raise OperatorRequestError(f"{rollout_request(records)}: cannot be written ({error.strerror})") from None
