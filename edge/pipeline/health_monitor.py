"""Health monitor: alarms for cameras, records and the link to the PLC."""

from collections.abc import Mapping

from edge.alarms import Alarms, Area
from edge.cameras.camera import Camera
from edge.records.writer import Records
from firmware_bridge.events import Event, HelloReceived, PeerBack, PeerLost, PortLost, Refused
from firmware_bridge.messages import Fault

PLC = "PLC"
"""Name of the alarm for a PLC that does not respond."""
REPORTED = "PLC reports a fault"
"""Name of the alarm for a Fault message from the PLC."""


class HealthMonitor:
    """Raises and clears the alarms; used by the line thread only."""

    def __init__(self, alarms: Alarms, cameras: Mapping[str, Camera], records: Records) -> None:
        self._alarms, self._cameras, self._records = alarms, cameras, records

    def check(self) -> None:
        """Check cameras and records."""
        for name, camera in self._cameras.items():
            lost = f"found it lost ({camera.health.last_error}), expected its frames; check cable, power and network"
            self._set(f"camera {name}", not camera.health.connected, lost, Area.CAMERA)
        trouble = self._records.trouble
        self._set("records", bool(trouble), f"{self._records.path}: {trouble}; free some space", Area.DISK)

    def handle(self, event: Event) -> None:
        """Evaluate an event of the link."""
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
            text = f"found {event.code.name} {event.text!r}; remove the cause, then restart or reset its inspection"
            self._alarms.raise_(REPORTED, text, Area[event.code.name], event.part_id)

    def _set(self, name: str, wrong: bool, text: str, area: Area) -> None:
        if wrong:
            self._alarms.raise_(name, text, area)
        else:
            self._alarms.clear(name)
