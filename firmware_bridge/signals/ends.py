"""Ends of the 24 V handshake: lines of this computer, and either side of a Modbus input/output module.

A station polls a module: it reads one discrete input, TRIGGER, and writes six coils. On lines of the computer a sample
is one byte.
"""

import math
from typing import TYPE_CHECKING

from firmware_bridge.endpoint import LinkTally
from firmware_bridge.events import Event, HelloReceived, PeerBack, PeerLost, Refused
from firmware_bridge.messages import Hello, Message, Role
from firmware_bridge.modbus import pdu as pdus
from firmware_bridge.signals.terminals import SignalHandshake, SignalTimes, Terminal
from firmware_bridge.timing import Timing

if TYPE_CHECKING:  # it loads pymodbus
    from firmware_bridge.modbus.framing import Framing

COILS = len(Terminal)
_DEVICE = Hello(Role.PLC, "24 V terminals")


class _SignalEnd:
    """Common part of the ends: when samples stop, the handshake starts over."""

    def __init__(self, signals: SignalHandshake, times: SignalTimes, timing: Timing) -> None:
        self.signals, self.timing, self.tally = signals, timing, LinkTally()
        self._times = times
        self._now = 0.0
        self._heard_at: float | None = None
        self._met = self._lost = False
        self._written, self._written_at = -1, -math.inf

    @property
    def is_open(self) -> bool:
        """See Endpoint."""
        return self._met and not self._lost and self.signals.is_open

    def send(self, message: Message, now: float) -> list[Event]:
        """See Endpoint."""
        self._now = now
        return self.signals.send(message, now)

    def tick(self, now: float) -> list[Event]:
        """See Endpoint."""
        self._now = now
        self._heard_at = now if self._heard_at is None else self._heard_at
        events = self.signals.tick(now)
        if not self._lost and now >= self._heard_at + self.timing.silence_s:
            self._lost, self._written = True, -1
            events += [PeerLost(now - self._heard_at), *self.signals.lose(now)]
        return events

    def next_tick(self) -> float:
        """See Endpoint."""
        return min(self.signals.next_tick(), self._now + self._times.poll_s)

    def _sampled(self, levels: int, now: float) -> list[Event]:
        self.tally.received += 1
        events: list[Event] = [] if self._met else [HelloReceived(_DEVICE, restarted=False)]
        events += [PeerBack()] if self._lost else []
        self._heard_at, self._met, self._lost = now, True, False
        return events + self.signals.sample(levels, now)

    @property
    def _is_due(self) -> bool:
        """Whether the own levels have to be written."""
        return self._written != self.signals.levels or self._now >= self._written_at + self._times.refresh_s

    def _shown(self, levels: int, now: float) -> list[Event]:
        self._written, self._written_at = levels, now
        self.tally.sent += 1
        return self.signals.shown(levels, now)


class LineEnd(_SignalEnd):
    """Either side on lines of this computer: each byte that arrives or leaves is a sample of all levels."""

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        self._now = now
        return [event for levels in data for event in self._sampled(levels, now)]

    def outgoing(self) -> bytes:
        """See Endpoint."""
        if not self._is_due:
            return b""
        levels = self.signals.levels
        self._shown(levels, self._now)
        return bytes([levels])


class ModuleClient(_SignalEnd):
    """The station: polls a module's input, writes its coils."""

    def __init__(
        self,
        signals: SignalHandshake,
        times: SignalTimes,
        timing: Timing,
        framing: "Framing",
        first_input: int,
        coil: int,
    ) -> None:
        """first_input: address of TRIGGER; coil: address of READY, the others follow."""
        super().__init__(signals, times, timing)
        self._framing, self._input, self._coil = framing, first_input, coil
        self._pending: int | None = None  # the levels on their way, -1 for a read, None for no request
        self._free_at = self._due_at = 0.0  # of the next request: at the earliest, and with nothing to say
        self._read_next = False
        self._outbox = b""

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        self._now = now
        events: list[Event] = []
        for reply in self._framing.feed(data, now):
            if self._pending is not None:
                events += self._on_reply(reply, self._pending, now)
        return events

    def _on_reply(self, reply: bytes, pending: int, now: float) -> list[Event]:
        if reply[0] & pdus.ERROR:
            self._pending, self._written = None, -1
            self._free_at = self._due_at = now + self.timing.silence_s
            what = f"input {self._input}" if pending < 0 else f"coils {self._coil} to {self._coil + COILS - 1}"
            return [Refused(_DEVICE, f"Modbus exception {reply[1]} on {what}: the module has no such terminals")]
        if pending < 0:
            bits = pdus.read_bits_reply(reply, 1)
            return [] if bits is None else self._answered(now) + self._sampled(bits, now)
        if reply != pdus.write_bits_request(self._coil, COILS, pending)[:5]:
            return []
        return self._answered(now) + self._shown(pending, now)

    def _answered(self, now: float) -> list[Event]:
        self._pending = None
        self._free_at = now + self._framing.gap_s
        self._due_at = self._free_at + (0.0 if self._read_next else self._times.poll_s)
        return []

    @property
    def _is_urgent(self) -> bool:
        """Whether the PLC waits for a change of the levels, which is written without the pause."""
        return self._pending is None and not self._read_next and self._written != self.signals.levels

    def tick(self, now: float) -> list[Event]:
        """See Endpoint."""
        events = super().tick(now) + self._framing.events() + self._framing.disturbances.tick(now)
        if now >= (self._free_at if self._is_urgent else self._due_at):
            if self._pending is not None:
                self._written = -1  # a module that comes back may have forgotten
            self._request(now)
        return events

    def _request(self, now: float) -> None:
        """Reads and writes take turns, so that neither keeps the other out."""
        self._due_at = now + self.timing.retry_s
        if self._is_due and not self._read_next:
            self._pending, self._read_next = self.signals.levels, True
            pdu = pdus.write_bits_request(self._coil, COILS, self._pending)
        else:
            self._pending, self._read_next = -1, False
            pdu = pdus.read_bits_request(self._input, 1)
        self._outbox += self._framing.build(pdu, now)

    def next_tick(self) -> float:
        """See Endpoint."""
        due = self._free_at if self._is_urgent else self._due_at
        return min(self.signals.next_tick(), due, self._framing.disturbances.next_tick())

    def outgoing(self) -> bytes:
        """See Endpoint."""
        data, self._outbox = self._outbox, b""
        return data


class ModuleServer(_SignalEnd):
    """A simulated module with a PLC at its terminals; its outputs drop when no request comes for the silence time."""

    def __init__(self, signals: SignalHandshake, times: SignalTimes, timing: Timing, framing: "Framing") -> None:
        """Begin with every output off."""
        super().__init__(signals, times, timing)
        self._framing, self._outputs = framing, 0
        self._outbox = b""

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        self._now = now
        events: list[Event] = []
        for request in self._framing.feed(data, now):
            written = pdus.written_bits(request, COILS)
            if written is not None:
                self._outputs = written
                reply = request[:5]
            else:
                reply = pdus.answer_read_bits(request, self.signals.levels)
            events += self._sampled(self._outputs, now)
            self._outbox += self._framing.build(reply, now)
        return events

    def tick(self, now: float) -> list[Event]:
        """See Endpoint."""
        return super().tick(now) + self._framing.events()

    def outgoing(self) -> bytes:
        """See Endpoint."""
        data, self._outbox = self._outbox, b""
        return data
