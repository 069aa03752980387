"""The PLC's side of the 24 V handshake: what plc_example_24v.st does, for the simulators.

IDLE ──part, READY──> TRIGGERED ──STROBE rises with BUSY on──> RETURNING ──BUSY and STROBE off──> IDLE
"""

from enum import Enum

from firmware_bridge.events import Event, HelloReceived, PeerBack, PeerLost, Undelivered
from firmware_bridge.messages import ActiveAlarms, FaultCode, Hello, Message, Result, Role, Trigger, Verdict
from firmware_bridge.signals.terminals import TRIGGER, Terminal

_RESULT = Terminal.OK | Terminal.NG | Terminal.STROBE


class PlcPhase(Enum):
    """Step of the handshake."""

    IDLE = "idle"
    TRIGGERED = "triggered"
    RETURNING = "returning"


class PlcSignals:
    """See SignalHandshake. Holds TRIGGER until it has the result, or gives the part up after `give_up_s`."""

    def __init__(self, give_up_s: float) -> None:
        """Begin with the station's terminals off."""
        self._give_up_s = give_up_s
        self._phase, self._station = PlcPhase.IDLE, 0
        self._part: tuple[float, Trigger] | None = None  # with the time at which it came
        self._met = self._lost = False
        self.malformed = 0
        """Results with both of OK and NG, or none."""

    @property
    def is_open(self) -> bool:
        """See SignalHandshake."""
        return bool(self._station & (Terminal.READY | Terminal.BUSY))

    @property
    def levels(self) -> int:
        """See SignalHandshake."""
        return TRIGGER if self._phase is PlcPhase.TRIGGERED else 0

    def shown(self, levels: int, now: float) -> list[Event]:
        """See SignalHandshake."""
        return []

    def sample(self, levels: int, now: float) -> list[Event]:
        """See SignalHandshake."""
        before, self._station = self._station, levels
        events = self._meet(before)
        rises = levels & ~before
        if self._phase is PlcPhase.TRIGGERED and rises & Terminal.STROBE and levels & Terminal.BUSY and self._part:
            _, trigger = self._part
            self._part, self._phase = None, PlcPhase.RETURNING
            self.malformed += bool(levels & Terminal.OK) == bool(levels & Terminal.NG)
            passes = levels & _RESULT == Terminal.OK | Terminal.STROBE
            events.append(Result(trigger.part_id, trigger.encoder, Verdict.OK if passes else Verdict.NG))
        return events

    def _meet(self, before: int) -> list[Event]:
        events: list[Event] = []
        if self.is_open and not self._met:
            self._met = True
            events.append(HelloReceived(Hello(Role.EDGE, "24 V signals"), restarted=False))
        elif self.is_open and self._lost:
            events.append(PeerBack())
        self._lost = self._lost and not self.is_open
        if (before ^ self._station) & Terminal.ERROR:
            code = FaultCode.OTHER
            events.append(ActiveAlarms(0 if self._station & Terminal.ERROR else code.bit))
        return events

    def lose(self, now: float) -> list[Event]:
        """See SignalHandshake."""
        events: list[Event] = [PeerLost(0.0)] if self._met and not self._lost else []
        self._lost = True
        return events + self.sample(0, now)

    def send(self, message: Message, now: float) -> list[Event]:
        """See SignalHandshake."""
        if not isinstance(message, Trigger):
            return [Undelivered(message, "24 V signals have no wire for this message")]
        if self._part is not None:
            return [Undelivered(message, "the part before is not answered")]
        self._part = now, message
        return []

    def tick(self, now: float) -> list[Event]:
        """See SignalHandshake."""
        if self._part and now >= self._part[0] + self._give_up_s:
            (_, trigger), self._part = self._part, None
            if self._phase is PlcPhase.TRIGGERED:
                self._phase = PlcPhase.RETURNING
            return [Undelivered(trigger, "no result in time")]
        if self._phase is PlcPhase.RETURNING and not self._station & (Terminal.BUSY | _RESULT):
            self._phase = PlcPhase.IDLE
        if self._phase is PlcPhase.IDLE and self._part and self._may_trigger:
            self._phase = PlcPhase.TRIGGERED
        return []

    @property
    def _may_trigger(self) -> bool:
        """Whether READY is on and no level of a result is stuck."""
        return bool(self._station & Terminal.READY) and not self._station & (Terminal.BUSY | _RESULT)

    def next_tick(self) -> float:
        """See SignalHandshake."""
        return self._part[0] + self._give_up_s if self._part else float("inf")
