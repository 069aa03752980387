"""The alarms about what the station itself stands on: its cameras, its disk, its line to the PLC."""

from collections.abc import Mapping

from edge.alarms import Alarms, Area
from edge.cameras.camera import Camera
from edge.records.writer import Records
from firmware_bridge.events import Event, HelloReceived, PeerBack, PeerLost, PortLost, Refused
from firmware_bridge.messages import Fault

PLC = "PLC"
"""Name of the alarm that the PLC does not answer."""
REPORTED = "PLC reports a fault"
"""Name of the alarm that the PLC itself raises."""


class Watchman:
    """Looks after cameras and records, and listens to what the link reports; used by the line thread."""

    def __init__(self, alarms: Alarms, cameras: Mapping[str, Camera], records: Records) -> None:
        self._alarms, self._cameras, self._records = alarms, cameras, records

    def look(self) -> None:
        """Raise or clear what can be seen at any time."""
        for name, camera in self._cameras.items():
            lost = f"found it lost ({camera.health.last_error}), expected its frames; check cable, power and network"
            self._set(f"camera {name}", not camera.health.connected, lost, Area.CAMERA)
        trouble = self._records.trouble
        self._set("records", bool(trouble), f"{self._records.path}: {trouble}; free some space", Area.DISK)

    def hear(self, event: Event) -> None:
        """Raise or clear what the link has noticed."""
        if isinstance(event, PeerLost):
            self._alarms.raise_(PLC, f"found it silent for {event.silent_s:.1f} s; check it and its cable", Area.LINK)
        elif isinstance(event, PortLost):
            self._alarms.raise_(PLC, f"the port failed ({event.reason}); check adapter and cable", Area.LINK)
        elif isinstance(event, Refused):
            self._alarms.raise_(PLC, f"{event.reason}; check what is connected to the port", Area.LINK)
        elif isinstance(event, (PeerBack, HelloReceived)):
            self._alarms.clear(PLC)
            if isinstance(event, HelloReceived):
                self._alarms.clear(REPORTED)
        elif isinstance(event, Fault):
            text = f"found {event.code.name} {event.text!r}; look after it, then restart or reset the PLC's inspection"
            self._alarms.raise_(REPORTED, text, Area[event.code.name], event.part_id)

    def _set(self, name: str, wrong: bool, text: str, area: Area) -> None:
        if wrong:
            self._alarms.raise_(name, text, area)
        else:
            self._alarms.clear(name)
