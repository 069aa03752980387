"""The station's side of the 24 V handshake.

    IDLE ──TRIGGER on──> INSPECTING ──result──> SETTLING ──settle──> STROBING ──TRIGGER off──> RETURNING
     ^                                                                                             │
     └─────────────────────────────────────────settle──────────────────────────────────────────────┘

A pulse trigger ends before its result; then STROBE ends after its own time. One part is in flight at a time.
"""

import math
from enum import Enum

from firmware_bridge.endpoint import Disturbances
from firmware_bridge.events import Acknowledged, Event, LineTrouble, Undelivered
from firmware_bridge.messages import (
    AGE_LIMIT_MS,
    ActiveAlarms,
    FaultCode,
    Message,
    Offline,
    Result,
    Trigger,
    Verdict,
)
from firmware_bridge.signals.terminals import TRIGGER, SignalTimes, Terminal

_OVERRUN = "TRIGGER came while BUSY was on, its part is rejected; let the PLC wait for READY, or space the parts out"
_STUCK = "TRIGGER stays on after the result; look for a short to 24 V, a shifted sensor, or a PLC that has stopped"


class Phase(Enum):
    """Step of the handshake."""

    IDLE = "idle"
    INSPECTING = "inspecting"
    SETTLING = "settling"
    STROBING = "strobing"
    RETURNING = "returning"


class StationSignals:
    """See SignalHandshake. Numbers the parts from 1; each has the encoder count 0."""

    def __init__(self, times: SignalTimes, now: float) -> None:
        """Begin with TRIGGER taken for on, so that a part must be triggered after the start."""
        self._times, self._disturbances = times, Disturbances()
        self._phase, self._shown_at, self._shown = Phase.IDLE, math.inf, 0
        self._raw, self._raw_since, self._off_at = False, now, now
        self._trigger = True
        """TRIGGER without its bounces."""
        self._parts, self._part = 0, 0
        """Parts so far; the one in flight, 0 for none."""
        self._result: Result | None = None
        self._spoiled = False  # another trigger came while this part was in flight
        self._offline = self._error = False

    @property
    def is_open(self) -> bool:
        """See SignalHandshake."""
        return not self._offline

    @property
    def levels(self) -> int:
        """See SignalHandshake."""
        if self._offline:
            return 0
        level = Terminal(0) if self._error else Terminal.ERROR
        if self._phase is Phase.IDLE:
            return level if self._trigger else level | Terminal.READY
        level |= Terminal.BUSY
        if self._result is not None:
            level |= Terminal.OK if self._passes(self._result) else Terminal.NG
        return level | Terminal.STROBE if self._phase is Phase.STROBING else level

    def _passes(self, result: Result) -> bool:
        return result.verdict is Verdict.OK and not self._spoiled

    def shown(self, levels: int, now: float) -> list[Event]:
        """See SignalHandshake."""
        self._shown = levels
        if levels == self.levels and self._shown_at == math.inf:
            self._shown_at = now
        return []

    def sample(self, levels: int, now: float) -> list[Event]:
        """See SignalHandshake. The age of a trigger counts from the last sample without it: it is never too small."""
        on = bool(levels & TRIGGER)
        if on != self._raw:
            self._raw, self._raw_since = on, now
        self._off_at = self._off_at if on else now
        if on == self._trigger or now - self._raw_since < self._times.debounce_s:
            return []
        self._trigger = on
        return self._rose(now) if on else self._fell()

    def _rose(self, now: float) -> list[Event]:
        if self._offline:
            return []
        self._parts = self._parts % 0xFFFF_FFFF + 1
        earliest = min(self._off_at, self._raw_since)
        trigger = Trigger(self._parts, 0, age_ms=min(AGE_LIMIT_MS, round((now - earliest) * 1e3)))
        if self._phase is Phase.IDLE and self._shown & Terminal.READY:
            self._part = self._parts
            self._enter(Phase.INSPECTING)
            return [trigger]
        if self._phase in (Phase.INSPECTING, Phase.SETTLING):
            self._spoiled = True  # the PLC may take the coming STROBE for either part
            self._enter(self._phase)
        return [trigger, *self._disturbances.note(LineTrouble.OVERRUN, _OVERRUN, now)]

    def _fell(self) -> list[Event]:
        if not self._times.held or self._phase in (Phase.IDLE, Phase.RETURNING):
            return []
        if self._phase is Phase.STROBING and self._shown & Terminal.STROBE:
            return self._finish("")
        return self._finish("the PLC took TRIGGER back before the result")

    def _finish(self, reason: str) -> list[Event]:
        """End the part in flight; `reason` says why its result was not taken, empty where it was."""
        result, taken = self._result, not reason and not self._spoiled
        reason = reason or "another trigger came while this part was inspected"
        if self._phase is not Phase.STROBING:
            self._result = None
        self._part, self._spoiled = 0, self._spoiled and self._result is not None
        self._enter(Phase.RETURNING)
        if result is None:
            return []
        return [Acknowledged(result) if taken else Undelivered(result, reason)]

    def _enter(self, phase: Phase) -> None:
        self._phase, self._shown_at = phase, math.inf

    def lose(self, now: float) -> list[Event]:
        """See SignalHandshake."""
        events = self._finish("the input/output device was lost") if self._part else []
        self._result, self._spoiled, self._trigger, self._shown = None, False, True, 0
        self._raw, self._raw_since, self._off_at = False, now, now
        self._enter(Phase.IDLE)
        return events

    def send(self, message: Message, now: float) -> list[Event]:
        """See SignalHandshake; of all messages, only results, alarms and leaving the line have a wire."""
        if isinstance(message, ActiveAlarms):
            self._error = bool(message.active & ~FaultCode.DRIFT.bit)
        elif isinstance(message, Offline):
            events = self._finish("the station has gone off line") if self._part else []
            self._offline, self._result = True, None
            return events
        elif not isinstance(message, Result):
            return [Undelivered(message, "24 V signals have no wire for this message")]
        elif message.part_id != self._part or message.encoder:
            return [Undelivered(message, "its part is not the one in flight: overrun, taken back, or off line")]
        elif self._phase is not Phase.INSPECTING:
            return [Undelivered(message, "this part has its result")]
        else:
            self._result = message
            self._enter(Phase.SETTLING)
        return []

    def tick(self, now: float) -> list[Event]:
        """See SignalHandshake."""
        events = self._disturbances.tick(now)
        if self._trigger and self._part == 0 and self._raw and now >= self._raw_since + self._times.take_s:
            events += self._disturbances.note(LineTrouble.TRIGGER_STUCK, _STUCK, now)
        if now < self._due():
            return events
        if self._phase is Phase.SETTLING:
            if self._raw is self._trigger:  # else TRIGGER is just changing, and the result may not be wanted any more
                self._enter(Phase.STROBING)
        elif self._phase is Phase.STROBING:
            events += self._finish("the PLC did not take the result in time" if self._times.held else "")
        else:
            self._result, self._spoiled = None, False
            self._enter(Phase.IDLE)
        return events

    def _due(self) -> float:
        """Return the time at which the present phase ends by itself."""
        strobe_s = self._times.take_s if self._times.held else self._times.strobe_s
        waits_s = {
            Phase.SETTLING: self._times.settle_s,
            Phase.STROBING: strobe_s,
            Phase.RETURNING: self._times.settle_s,
        }
        return self._shown_at + waits_s.get(self._phase, math.inf)

    def next_tick(self) -> float:
        """See SignalHandshake."""
        return min(self._due(), self._disturbances.next_tick())
