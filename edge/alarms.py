"""What is wrong at the line at present: raised once, cleared once, heard by the log, the PLC and the page alike."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from edge.wall_clock import SteadyClock

log = logging.getLogger(__name__)


class Area(Enum):
    """What an alarm is about; the PLC's fault codes bear the same names."""

    CAMERA = "camera"
    ENGINE = "engine"
    BUNDLE = "bundle"
    DISK = "disk"
    LINK = "link"
    OUTPUT = "output"
    DRIFT = "drift"
    BELT = "belt"
    OTHER = "other"


@dataclass(frozen=True)
class Alarm:
    """One thing that somebody has to look after."""

    name: str
    """Which alarm it is, such as `camera top`; there is at most one of a name at a time. The PLC is told this."""
    text: str
    """What was found, what was expected, what to do; this is for the log and the page."""
    area: Area
    part_id: int
    """The part that it concerns, 0 where it is none."""
    since: datetime
    """When it was raised first, UTC."""


Listener = Callable[[Alarm, bool], None]
"""Takes an alarm, with true when it is raised and false when it is cleared. Quick; called by whoever raises it."""


class Alarms:
    """The alarms of one station. Safe to use from several threads."""

    def __init__(self, utc: Callable[[], datetime] | None = None) -> None:
        self.listeners: list[Listener] = []
        self._utc = utc or SteadyClock()
        self._active: dict[str, Alarm] = {}
        self._lock = threading.Lock()

    @property
    def active(self) -> tuple[Alarm, ...]:
        """Those in force, the oldest first."""
        with self._lock:
            return tuple(self._active.values())

    def raise_(self, name: str, text: str, area: Area = Area.OTHER, part_id: int = 0) -> None:
        """Put an alarm in force; one that is in force takes the new text, and is told again where the part is new."""
        with self._lock:
            before = self._active.get(name)
            alarm = Alarm(name, text, area, part_id, before.since if before else self._utc())
            self._active[name] = alarm
        if before is None or before.part_id != part_id:
            log.error("alarm: %s: %s", name, text)
            self._tell(alarm, raised=True)

    def clear(self, name: str) -> None:
        """End an alarm; nothing if there is none of that name."""
        with self._lock:
            alarm = self._active.pop(name, None)
        if alarm is not None:
            log.warning("alarm over: %s", name)
            self._tell(alarm, raised=False)

    def _tell(self, alarm: Alarm, raised: bool) -> None:
        for listener in tuple(self.listeners):
            try:
                listener(alarm, raised)
            except Exception:  # who only listens may not stop the line
                log.exception("%s failed to take the alarm %s", listener, alarm.name)
