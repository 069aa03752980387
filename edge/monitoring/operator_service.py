"""Handles operator requests: prompts for challenges, runs queued commands, clears acknowledged alarms."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from edge.alarms import Alarms
from edge.config.challenge import ChallengeSettings
from edge.ejector.rejects import ESCAPED, UNCONFIRMED
from edge.errors import RecordsError
from edge.monitoring.challenge import Challenge, due_since
from edge.monitoring.operator_requests import (
    PauseRequest,
    abandon_open,
    acknowledgements_asked,
    challenges_asked,
    last_passed,
    note_pause,
    note_trial_taken,
    open_pause,
    trials_asked,
)
from edge.part import PAUSED_BY, Part
from edge.records.database import advice, connect_existing
from edge.records.writer import REPLACED, ROWS_REFUSED, Records
from edge.wall_clock import SteadyClock

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Polling interval of the requests."""
SERVICE = "operator requests"
"""Name of the alarm for requests that cannot be served because of an unexpected error."""
PAUSED = "paused"
"""Name of the alarm while an operator has paused the station."""
OVERDUE, FAILED = "challenge overdue", "challenge failed"
"""Names of the alarms; the next passed challenge clears both."""
ACKNOWLEDGED = (ESCAPED, UNCONFIRMED, FAILED, ROWS_REFUSED, REPLACED)
"""Alarms about a past event, cleared by an acknowledgement."""


@dataclass(frozen=True)
class ChallengeState:
    """State of the challenges for the page."""

    due_since: datetime | None
    """UTC time since which a challenge is due; None if none is due."""
    overdue: bool
    missing: int
    """Missing parts of the running challenge; 0 if none runs."""


class Pausable(Protocol):
    """Pipeline that an operator may pause."""

    pause: str
    """Operator and reason of the pause; empty while the station inspects."""


@dataclass(frozen=True)
class PauseState:
    """Pause in force, for the page."""

    number: int
    who: str
    reason: str
    since: datetime


class Trials(Protocol):
    """Trials of candidate bundles. Both calls return at once."""

    def start(self, folder: Path, who: str) -> None:
        """Put the bundle of this folder on trial, in place of one that is."""

    def stop(self, who: str) -> None:
        """End the trial, if there is one."""


class OperatorService:
    """Polls the operator requests and the schedule of challenges. `run` is the body of a thread."""

    def __init__(
        self,
        settings: ChallengeSettings,
        records: Records,
        alarms: Alarms,
        utc: Callable[[], datetime] | None = None,
        pipeline: Pausable | None = None,
        trials: Trials | None = None,
    ) -> None:
        self.challenge = ChallengeState(None, False, 0)
        """Replaced at each poll, never changed."""
        self.pause: PauseState | None = None
        """Pause in force; None while the station inspects."""
        self._pipeline, self._trials = pipeline, trials
        self._settings, self._records, self._alarms, self._utc = settings, records, alarms, utc or SteadyClock()
        self._began = self._utc()
        self._running: Challenge | None = None
        self._prompted = False
        self._refused = ""
        self._lock = threading.Lock()

    def add(self, part: Part) -> None:
        """Evaluate a part for the running challenge; called after its result is sent."""
        with self._lock:
            running = self._running
            if running is None or not running.add(part):
                return
            self._records.note_challenged(part.number, running.number)
            if running.result is not None:
                self._end(running, running.result)

    def run(self, stopping: threading.Event) -> None:
        """Poll until the station stops; first abandon the open challenges of an earlier run."""
        self._guarded(abandon_open)
        while not stopping.wait(POLL_S):
            self.poll()

    def restore_pause(self) -> None:
        """Continue a pause that an earlier run left open; call it before parts are inspected.

        Raises RecordsError.
        """
        try:
            with closing(connect_existing(self._records.path)) as connection:
                self._update_pause(connection)
        except sqlite3.Error as error:
            raise RecordsError(f"records {self._records.path}: cannot be read ({error}); {advice(error)}") from None

    def poll(self) -> None:
        """Run the queued requests and evaluate the schedule."""
        self._guarded(self._run_requests)

    def _guarded(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Visit the records; an unexpected error is an alarm, and does not end the thread."""
        try:
            self._visit(work)
        except Exception as error:  # the outermost loop of the thread
            if not any(alarm.name == SERVICE for alarm in self._alarms.active):
                log.exception("operator requests: unexpected error")
            found = f"found {type(error).__name__}: {error}; expected requests and challenges to be served, see the log"
            self._alarms.raise_(SERVICE, found)
        else:
            self._alarms.clear(SERVICE)

    def _visit(self, work: Callable[[sqlite3.Connection], None]) -> None:
        try:
            with closing(connect_existing(self._records.path)) as connection:
                work(connection)
                passed = last_passed(connection, self._utc())
        except (sqlite3.Error, OSError, RecordsError) as error:
            if str(error) != self._refused:
                log.error("operator requests: %s: %s", self._records.path, error)
            self._refused = str(error)
            return
        self._refused = ""
        self._update_schedule(passed)

    def _update_pause(self, connection: sqlite3.Connection) -> None:
        """Take the pauses and their ends. A pause whose row has disappeared goes on until an end is asked for."""
        ended = False
        while (found := open_pause(connection)) is not None:
            if not found.end_asked:
                self._begin_pause(found)
                note_pause(connection, found)
                return
            note_pause(connection, found, ended=True)
            ended = True
        if ended and self.pause is not None and self._pipeline is not None:
            log.warning("pause by %s: ended, parts are inspected", self.pause.who)
            self.pause, self._pipeline.pause = None, ""
            self._alarms.clear(PAUSED)

    def _begin_pause(self, asked: PauseRequest) -> None:
        if self._pipeline is None or (self.pause is not None and self.pause.number == asked.number):
            return
        words = f"{PAUSED_BY}{asked.who}: {asked.reason}"
        since = self._utc() if asked.began is None else datetime.fromisoformat(asked.began)
        self._pipeline.pause, self.pause = words, PauseState(asked.number, asked.who, asked.reason, since)
        log.warning("%s; every part is FAULT", words)
        self._alarms.raise_(
            PAUSED, f"{words}; every part is FAULT, resume at the page or by `edge-inspect resume line.toml`"
        )

    def _run_requests(self, connection: sqlite3.Connection) -> None:
        self._update_pause(connection)
        for number in acknowledgements_asked(connection):
            ended = [alarm.name for alarm in self._alarms.active if alarm.name in ACKNOWLEDGED]
            for name in ended:
                self._alarms.clear(name)
            connection.execute("UPDATE acknowledgements SET alarms = ? WHERE number = ?", (", ".join(ended), number))
        for number, who, folder in trials_asked(connection):
            if self._trials is not None:
                self._trials.start(Path(folder), who) if folder else self._trials.stop(who)
            note_trial_taken(connection, number)
        for request in challenges_asked(connection):
            connection.execute("UPDATE challenges SET result = 'open' WHERE number = ?", (request.number,))
            with self._lock:
                if self._running is not None:
                    self._end(self._running, "abandoned")
                self._running = Challenge(
                    request.number, request.parts, request.expected, self._records.last_number, self._utc()
                )
            log.warning("challenge %d: started, the next %d part(s) are known bad parts", request.number, request.parts)

    def _update_schedule(self, passed: datetime | None) -> None:
        now = self._utc()
        since = due_since(self._settings, passed, self._began, now)
        overdue = since is not None and now - since >= timedelta(minutes=self._settings.overdue_minutes)
        with self._lock:
            running = self._running
            if running and now - running.began >= timedelta(minutes=self._settings.timeout_minutes):
                self._end(running, "abandoned")
                running = None
            self.challenge = ChallengeState(since, overdue, running.parts - len(running.found) if running else 0)
        if since is not None and not self._prompted:
            log.warning(
                "a challenge with %d known bad part(s) is due; run `edge-inspect challenge`", self._settings.parts
            )
        self._prompted = since is not None
        if overdue and since is not None:
            found = f"found none passed since the prompt at {since.astimezone():%H:%M}, expected one within "
            self._alarms.raise_(
                OVERDUE, found + f"{self._settings.overdue_minutes:g} min; run `edge-inspect challenge`"
            )
        else:
            self._alarms.clear(OVERDUE)

    def _end(self, challenge: Challenge, result: str) -> None:
        self._running = None
        found = ", ".join(challenge.found)
        self._records.note_challenge(challenge.number, result, found, self._utc().isoformat(timespec="milliseconds"))
        if result == "failed":
            wanted = f"{challenge.parts} x NG {challenge.expected or ''}".rstrip()
            self._alarms.raise_(
                FAILED, f"found {found}, expected {wanted}; check camera, lamp and thresholds, then repeat it"
            )
        else:
            log.warning("challenge %d: %s: %s", challenge.number, result, found or "no part arrived")
        if result == "passed":
            self._alarms.clear(FAILED)
            self._alarms.clear(OVERDUE)
