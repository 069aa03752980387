"""Who waits on people: asks for challenges, takes their orders, lets the alarms go that they have looked after."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.alarms import Alarms
from edge.config.challenge import ChallengeSettings
from edge.ejector.rejects import ESCAPED, UNCONFIRMED
from edge.monitoring.challenge import Challenge, asked_since
from edge.monitoring.operator_requests import acknowledgements_asked, challenges_asked, forget, last_passed
from edge.part import Part
from edge.records.database import connect
from edge.records.writer import Records
from edge.wall_clock import SteadyClock

log = logging.getLogger(__name__)

LOOK_S = 0.5
OVERDUE, FAILED = "challenge overdue", "challenge failed"
"""Names of the alarms; the next challenge that is passed ends both."""
LOOKED_AFTER = (ESCAPED, UNCONFIRMED, FAILED)
"""Alarms about something that has happened, which end when somebody has looked after it."""


@dataclass(frozen=True)
class ChallengeState:
    """What a page shows of challenges."""

    asked_since: datetime | None
    """Since when one is due, UTC; None if none is."""
    overdue: bool
    missing: int
    """Parts that a running challenge waits for; 0 if none runs."""


class Attendant:
    """Looks at the orders in the records and at the wall clock; `run` is the body of a thread of its own."""

    def __init__(
        self,
        settings: ChallengeSettings,
        records: Records,
        alarms: Alarms,
        utc: Callable[[], datetime] | None = None,
    ) -> None:
        self.challenge = ChallengeState(None, False, 0)
        """For the page; replaced, never changed."""
        self._settings, self._records, self._alarms, self._utc = settings, records, alarms, utc or SteadyClock()
        self._began = self._utc()
        self._running: Challenge | None = None
        self._asked = False
        self._refused = ""
        self._lock = threading.Lock()

    def add(self, part: Part) -> None:
        """Take a part whose result has been sent."""
        with self._lock:
            running = self._running
            if running is None or not running.add(part):
                return
            self._records.note_challenged(part.number, running.number)
            if running.result is not None:
                self._end(running, running.result)

    def run(self, stopping: threading.Event) -> None:
        """Look until the station stops; first give up what a station before this one has left."""
        self._look(forget)
        while not stopping.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Take notice of orders and of the time."""
        self._look(self._take_orders)

    def _look(self, take: Callable[[sqlite3.Connection], None]) -> None:
        try:
            with closing(connect(self._records.path)) as connection:
                take(connection)
                passed = last_passed(connection, self._utc())
        except (sqlite3.Error, OSError) as error:
            if str(error) != self._refused:
                log.error("orders: %s: %s", self._records.path, error)
            self._refused = str(error)
            return
        self._refused = ""
        self._watch_the_time(passed)

    def _take_orders(self, connection: sqlite3.Connection) -> None:
        for number in acknowledgements_asked(connection):
            ended = [alarm.name for alarm in self._alarms.active if alarm.name in LOOKED_AFTER]
            for name in ended:
                self._alarms.clear(name)
            connection.execute("UPDATE acknowledgements SET alarms = ? WHERE number = ?", (", ".join(ended), number))
        for order in challenges_asked(connection):
            connection.execute("UPDATE challenges SET result = 'open' WHERE number = ?", (order.number,))
            with self._lock:
                if self._running is not None:
                    self._end(self._running, "abandoned")
                self._running = Challenge(
                    order.number, order.parts, order.expected, self._records.last_number, self._utc()
                )
            log.warning("challenge %d: the next %d part(s) are known bad ones", order.number, order.parts)

    def _watch_the_time(self, passed: datetime | None) -> None:
        now = self._utc()
        since = asked_since(self._settings, passed, self._began, now)
        overdue = since is not None and now - since >= timedelta(minutes=self._settings.overdue_minutes)
        with self._lock:
            running = self._running
            if running and now - running.began >= timedelta(minutes=self._settings.timeout_minutes):
                self._end(running, "abandoned")
                running = None
            self.challenge = ChallengeState(since, overdue, running.parts - len(running.found) if running else 0)
        if since is not None and not self._asked:
            log.warning("a challenge with %d known bad part(s) is due; `edge-inspect challenge`", self._settings.parts)
        self._asked = since is not None
        if overdue:
            found = f"found none passed since it was asked for at {since.astimezone():%H:%M}, expected one within "
            self._alarms.raise_(OVERDUE, found + f"{self._settings.overdue_minutes:g} min; `edge-inspect challenge`")
        else:
            self._alarms.clear(OVERDUE)

    def _end(self, challenge: Challenge, result: str) -> None:
        self._running = None
        found = ", ".join(challenge.found)
        self._records.note_challenge(challenge.number, result, found, self._utc().isoformat(timespec="milliseconds"))
        if result == "failed":
            wanted = f"{challenge.parts} x NG {challenge.expected or ''}".rstrip()
            self._alarms.raise_(FAILED, f"found {found}, expected {wanted}; trust no part before one is passed")
        else:
            log.warning("challenge %d: %s: %s", challenge.number, result, found or "no part came")
        if result == "passed":
            self._alarms.clear(FAILED)
            self._alarms.clear(OVERDUE)
