"""Health monitor: alarms for cameras, records and the link to the PLC."""

from collections.abc import Mapping

from edge.alarms import Alarms, Area
from edge.cameras.camera import Camera
from edge.records.database import advice
from edge.records.writer import REPLACED, ROWS_REFUSED, Records
from firmware_bridge.events import (
    Event,
    HelloReceived,
    LineCleared,
    LineDisturbed,
    PeerBack,
    PeerLost,
    PortLost,
    Refused,
)
from firmware_bridge.messages import ActiveAlarms, Fault, Settings

PLC = "PLC"
"""Name of the alarm for a PLC that does not respond."""
REPORTED = "PLC reports a fault"
"""Name of the alarm for a Fault message from the PLC."""
DEADLINE = "deadline of the PLC"
"""Name of the alarm for a PLC that rejects a part before the station's deadline."""


class HealthMonitor:
    """Raises and clears the alarms; used by the line thread only."""

    def __init__(self, alarms: Alarms, cameras: Mapping[str, Camera], records: Records, deadline_s: float) -> None:
        self._alarms, self._cameras, self._records, self._deadline_s = alarms, cameras, records, deadline_s
        self._rows_refused, self._replacements = 0, 0

    def check(self) -> None:
        """Check cameras and records."""
        for name, camera in self._cameras.items():
            lost = f"found it lost ({camera.health.last_error}), expected its frames; check cable, power and network"
            self._set(f"camera {name}", not camera.health.connected, lost, Area.CAMERA)
        trouble = self._records.trouble
        self._set("records", bool(trouble), f"{self._records.path}: {trouble}; {advice(trouble)}", Area.DISK)
        self._check_rows()

    def _check_rows(self) -> None:
        """Raise the alarms about lost rows, which stay until they are acknowledged."""
        records = self._records
        if records.rows_refused > self._rows_refused:
            self._rows_refused = records.rows_refused
            found = f"found {self._rows_refused} rows that cannot be written, their parts are FAULT"
            self._alarms.raise_(ROWS_REFUSED, f"{found}; see {records.refused_rows}, then acknowledge", Area.DISK)
        if records.replacements > self._replacements:
            self._replacements = records.replacements
            found = f"{records.path}: it was deleted or replaced while the station was writing it, rows may be lost"
            self._alarms.raise_(REPLACED, f"{found}; look for the old file, then acknowledge", Area.DISK)

    def handle(self, event: Event) -> None:
        """Evaluate an event of the link."""
        if isinstance(event, PeerLost):
            self._alarms.raise_(PLC, "found it silent; check it and its cable", Area.LINK)
        elif isinstance(event, PortLost):
            self._alarms.raise_(
                PLC, f"the port failed ({event.reason}); check the device and its cable or network", Area.LINK
            )
        elif isinstance(event, Refused):
            self._alarms.raise_(PLC, f"{event.reason}; check what is connected to the port", Area.LINK)
        elif isinstance(event, LineDisturbed):
            self._alarms.raise_(f"wire: {event.trouble.value}", event.reason, Area.LINK)
        elif isinstance(event, LineCleared):
            self._alarms.clear(f"wire: {event.trouble.value}")
        elif isinstance(event, (PeerBack, HelloReceived)):
            self._alarms.clear(PLC)
            if isinstance(event, HelloReceived):
                self._alarms.clear(REPORTED)
        elif isinstance(event, Fault):
            text = f"found {event.code.name} {event.text!r}; remove the cause, then restart or reset its inspection"
            self._alarms.raise_(REPORTED, text, Area[event.code.name], event.part_id)
        elif isinstance(event, ActiveAlarms):
            self._handle_alarms(event)
        elif isinstance(event, Settings):
            text = f"found {event.deadline_ms} ms there and {self._deadline_s * 1e3:.0f} ms here, expected fewer here; "
            text += "set deadline_ms of line.toml below the reject controller's"
            self._set(DEADLINE, event.deadline_ms / 1e3 <= self._deadline_s, text, Area.LINK)

    def _handle_alarms(self, reported: ActiveAlarms) -> None:
        """Raise the alarm for faults of the PLC whose Fault message was lost; clear it when no fault is active."""
        if not reported.active:
            self._alarms.clear(REPORTED)
        elif all(alarm.name != REPORTED for alarm in self._alarms.active):
            text = f"found {', '.join(reported.names)}; remove the cause, then restart or reset its inspection"
            self._alarms.raise_(REPORTED, text, Area[reported.names[0]] if reported.names else Area.OTHER)

    def _set(self, name: str, wrong: bool, text: str, area: Area) -> None:
        if wrong:
            self._alarms.raise_(name, text, area)
        else:
            self._alarms.clear(name)
