"""Record of log-ins and changes of users: rows that are only added."""

import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic
from typing import Literal

from edge.errors import AccessError, RecordsError
from edge.records.database import advice, connect, connect_existing, reading, version_of

Event = Literal[
    "log-in", "failure", "lock-out", "log-out", "user added", "user removed", "password changed", "role changed"
]
SINCE_VERSION = 9
"""Schema version of the records that has this table."""
MOST_FAILURES, FAILURES_S = 60, 60.0
"""Rows of failures in this time; the next row has the number of the others, so that guesses do not fill the disk."""
log = logging.getLogger(__name__)


class AccessLog:
    """The table `accesses` of a station's records."""

    def __init__(self, records: Path, clock: Callable[[], float] = monotonic) -> None:
        self._records, self._clock = records, clock
        self._failures: deque[float] = deque(maxlen=MOST_FAILURES)
        self._left_out = 0

    def note(self, event: Event, who: str, address: str = "", detail: str = "") -> None:
        """Add a row; raises AccessError."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        statement = "INSERT INTO accesses (time, event, who, address, detail) VALUES (?, ?, ?, ?, ?)"
        try:
            opened = connect_existing(self._records) if self._records.is_file() else connect(self._records)
            with closing(opened) as connection:
                connection.execute(statement, (now, event, who, address, detail))
        except sqlite3.Error as error:
            raise AccessError(f"records {self._records}: not noted ({error}); {advice(error)}") from None
        except RecordsError as error:
            raise AccessError(str(error)) from None

    def note_failure(self, event: Literal["failure", "lock-out"], who: str, address: str) -> None:
        """Add a row of a refused attempt, limited per minute; a disk that refuses the row is logged."""
        now = self._clock()
        if len(self._failures) == MOST_FAILURES and self._failures[0] > now - FAILURES_S:
            self._left_out += 1
            return
        self._failures.append(now)
        detail = f"{self._left_out} before it were not noted" if self._left_out else ""
        self._left_out = 0
        try:
            self.note(event, who, address, detail)
        except AccessError as error:
            log.warning("page: %s of %r from %s: %s", event, who, address, error)


def accesses(records: Path, most: int) -> list[tuple[str, str, str, str, str]]:
    """Return time (UTC), event, who, address and detail of the latest rows, the newest last; raises RecordsError."""
    query = "SELECT time, event, who, address, detail FROM accesses ORDER BY number DESC LIMIT ?"
    if not records.is_file():
        return []
    with reading(records) as connection:
        rows = connection.execute(query, (most,)).fetchall() if version_of(connection) >= SINCE_VERSION else []
    return rows[::-1]
