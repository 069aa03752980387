"""Time of day at the station: UTC without short jumps, local boundaries of shifts, hours and challenges."""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from time import monotonic

log = logging.getLogger(__name__)

SLEW_S = 1.0
"""A larger difference to the monotonic clock is a jump; NTP slews below it."""
FOLLOW_S = 60.0
"""A jump that has lasted this long is a correction of the clock."""


def system_utc() -> datetime:
    """The computer's time, UTC."""
    return datetime.now(timezone.utc)


class SteadyClock:
    """UTC that leaves out jumps of the computer's clock shorter than `FOLLOW_S`. Safe to use from several threads."""

    def __init__(self, utc: Callable[[], datetime] = system_utc, clock: Callable[[], float] = monotonic) -> None:
        self._utc, self._clock = utc, clock
        self._lock = threading.Lock()
        self._offset_s = utc().timestamp() - clock()
        self._jump_s, self._since = 0.0, clock()

    def __call__(self) -> datetime:
        """Give the time, UTC."""
        with self._lock:
            now = self._clock()
            jump_s = self._utc().timestamp() - now - self._offset_s
            if abs(jump_s - self._jump_s) > SLEW_S:
                self._jump_s, self._since = jump_s, now
            if abs(jump_s) <= SLEW_S:
                self._offset_s, self._jump_s = self._offset_s + jump_s, 0.0
            elif now - self._since >= FOLLOW_S:
                log.warning("wall clock: it jumped by %.0f s %.0f s ago; followed now", jump_s, now - self._since)
                self._offset_s, self._jump_s = self._offset_s + jump_s, 0.0
            return datetime.fromtimestamp(now + self._offset_s, timezone.utc)


def latest_time_of_day(now: datetime, times: Iterable[str], zone: tzinfo | None = None) -> datetime | None:
    """Give the latest moment, UTC, not after `now`, at which a local clock showed one of `times`, such as `06:00`.

    now: aware. zone: of the local clock, None for the computer's. A time that the change to summer time leaves out
    occurs an hour later by the new time; one that occurs twice counts at its first occurrence. None without times.
    """
    today = now.astimezone(zone).date()
    starts = [time.fromisoformat(text) for text in times]
    moments = [_moment(day, start, zone) for day in (today, today - timedelta(days=1)) for start in starts]
    return max((moment for moment in moments if moment <= now), default=None)


def hour_start(now: datetime, zone: tzinfo | None = None) -> datetime:
    """Give the beginning of the local hour of `now`, which is aware."""
    return now.astimezone(zone).replace(minute=0, second=0, microsecond=0)


def _moment(day: date, start: time, zone: tzinfo | None) -> datetime:
    """The UTC of a local time; its offset is that of the day itself, not of today."""
    local = datetime.combine(day, start)
    return (local if zone is None else local.replace(tzinfo=zone)).astimezone(timezone.utc)
