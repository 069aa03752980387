"""Alarms of the station: raised and cleared once, with the log, the PLC and the page as listeners."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from edge.wall_clock import SteadyClock

log = logging.getLogger(__name__)


class Area(Enum):
    """Subsystem of an alarm; the fault codes of the PLC protocol have the same names."""

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
    """Condition that needs an operator's attention."""

    name: str
    """Unique name, such as `camera top`; sent to the PLC."""
    text: str
    """Message: found, expected, action; shown in the log and on the page."""
    area: Area
    part_id: int
    """Id of the part that it concerns; 0 if it concerns none."""
    since: datetime
    """UTC time at which it was raised first."""


Listener = Callable[[Alarm, bool], None]
"""Called with an alarm, and true if it is raised, false if it is cleared; runs in the raising thread, so it must return
quickly."""


class Alarms:
    """Active alarms of one station. Safe to use from several threads."""

    def __init__(self, utc: Callable[[], datetime] | None = None) -> None:
        self.listeners: list[Listener] = []
        self._utc = utc or SteadyClock()
        self._active: dict[str, Alarm] = {}
        self._lock = threading.Lock()

    @property
    def active(self) -> tuple[Alarm, ...]:
        """Active alarms, oldest first."""
        with self._lock:
            return tuple(self._active.values())

    def raise_(self, name: str, text: str, area: Area = Area.OTHER, part_id: int = 0) -> None:
        """Raise an alarm, or replace the text of an active one; listeners are called again only for another part."""
        with self._lock:
            before = self._active.get(name)
            alarm = Alarm(name, text, area, part_id, before.since if before else self._utc())
            self._active[name] = alarm
        if before is None or before.part_id != part_id:
            log.error("alarm: %s: %s", name, text, extra={"kind": name})
            self._tell(alarm, raised=True)

    def clear(self, name: str) -> None:
        """Clear an alarm; no effect if it is not active."""
        with self._lock:
            alarm = self._active.pop(name, None)
        if alarm is not None:
            log.warning("alarm cleared: %s", name, extra={"kind": name})
            self._tell(alarm, raised=False)

    def _tell(self, alarm: Alarm, raised: bool) -> None:
        for listener in tuple(self.listeners):
            try:
                listener(alarm, raised)
            except Exception:  # the outermost loop of a listener: its failure must not stop the line
                log.exception("%s failed on the alarm %s", listener, alarm.name)
