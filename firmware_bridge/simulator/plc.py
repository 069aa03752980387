"""A simulated line with its PLC, at the far end of a pseudo-terminal or a network."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from firmware_bridge.endpoint import Endpoint
from firmware_bridge.events import Event
from firmware_bridge.link import Link, SerialLink, new_session_number, open_link
from firmware_bridge.messages import ActiveAlarms, BeltPosition, Hello, Result, Role, Trigger
from firmware_bridge.parts import Ledger, PartRecord, Report
from firmware_bridge.port import BAUD_DEFAULT, Port
from firmware_bridge.signals.ends import LineEnd, ModuleServer
from firmware_bridge.signals.plc_signals import PlcSignals
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import SignalTimes
from firmware_bridge.simulator.pseudo_terminal import PseudoTerminal
from firmware_bridge.simulator.simulated_chip import SimulatedChip
from firmware_bridge.tcp_port import TcpClientPort, TcpServerPort
from firmware_bridge.timing import Timing
from firmware_bridge.wiring import UNIT, LinkKind, endpoint

ENCODER_STEP = 1_000
"""Encoder counts from one part to the next."""

_STEP_S = 0.02
_BELT_S = 0.05


class PlcSimulator:
    """Triggers `parts` parts once an inspection station has introduced itself, and decides on each.

    A part follows when `1 / rate_hz` has passed since the one before (`rate_hz` None: at once), and while fewer than
    `max_open` wait for their results. `sensor` is told of each trigger at its moment, as a camera on the sensor's own
    wire would be. With a `belt_speed`, in counts a second, the belt moves by itself, and the station is told where it
    is. Runs in a thread of its own from construction to `close`.
    """

    def __init__(
        self,
        parts: int,
        *,
        rate_hz: float | None = None,
        max_open: int = 1,
        deadline_s: float = 2.0,
        first: Trigger = Trigger(part_id=1, encoder=ENCODER_STEP),  # noqa: B008 - frozen
        way: LinkKind = LinkKind.FRAMED,
        baud: int = BAUD_DEFAULT,
        link_path: Path | None = None,
        sensor: Callable[[Trigger], None] | None = None,
        belt_speed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the pseudo-terminal or the network port, and start."""
        self._one_at_a_time = way.is_signals
        self._parts, self._max_open, self._clock = parts, 1 if way.is_signals else max_open, clock
        self._period_s = 1 / rate_hz if rate_hz else 0.0
        self._next, self._next_at, self._left, self._sensor = first, clock(), parts, sensor
        self.arrived = 0
        """Parts in the reject bin, as its sensor has counted; told with the belt's position."""
        self._first, self._speed, self._started_at, self._belt_at = first, belt_speed, clock(), clock()
        self._ledger = Ledger(deadline_s)
        self._session = (
            _signal_end(way, baud, deadline_s)
            if way.is_signals
            else endpoint(way, Hello(Role.PLC, "plc-simulator"), new_session_number(), clock(), baud)
        )
        self.chip = SimulatedChip()
        """The wires of `io-gpio`, without an address: no other process can open them."""
        port, self.address = (self.chip.open_plc(), "") if way is LinkKind.IO_GPIO else _far_end(way, baud, link_path)
        self._link = SerialLink(lambda: port, self._session, clock)
        self.alarms = ActiveAlarms()
        """Alarms that the station sent last."""
        self._started = False
        self._lock = threading.Lock()
        self._done, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="plc-simulator", daemon=True)
        self._thread.start()

    def open_station(self, hello: Hello) -> Link:
        """Open the station's end of this line."""
        if self.address:
            return open_link(self.address, hello, self._clock)
        times = SignalTimes()
        end = LineEnd(StationSignals(times, self._clock()), times, Timing())
        return SerialLink(self.chip.open_station, end, self._clock)

    def pace(self, rate_hz: float | None, max_open: int | None = None) -> None:
        """Change the rate in parts per second (0: none at all) and, if given, the most open parts."""
        with self._lock:
            self._period_s = math.inf if rate_hz == 0 else 1 / rate_hz if rate_hz else 0.0
            self._next_at = self._clock() + self._period_s
            self._max_open = self._max_open if max_open is None or self._one_at_a_time else max_open

    def wait(self, timeout_s: float) -> bool:
        """Wait until each part is passed or rejected; false where that takes longer than `timeout_s`."""
        return self._done.wait(timeout_s)

    def report(self) -> Report:
        """Sum up what has happened so far."""
        with self._lock:
            return self._ledger.report()

    def records(self) -> list[PartRecord]:
        """Return each part so far, in the order of the triggers."""
        with self._lock:
            return list(self._ledger.records.values())

    @property
    def repetitions(self) -> int:
        """Messages that came again because their acknowledgement was lost or late."""
        return self._session.tally.duplicates

    def close(self) -> None:
        """Stop, and take the pseudo-terminal away."""
        self._stop.set()
        self._thread.join()
        self._link.close()

    def __enter__(self) -> "PlcSimulator":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            events = self._link.poll(min(_STEP_S, max(0.0, self._next_at - self._clock()) or _STEP_S))
            with self._lock:
                self._step(events, self._clock())

    def _step(self, events: list[Event], now: float) -> None:
        for event in events:
            if isinstance(event, Result):
                self._ledger.answered(event, now)
            elif isinstance(event, ActiveAlarms):
                self.alarms = event
        self._ledger.watch(now)
        if self._speed and now >= self._belt_at:
            self._belt_at = now + _BELT_S
            self._link.send(BeltPosition(self._belt(now), self.arrived % 2**16))
        self._started = self._started or self._session.is_open
        while self._started and self._left and now >= self._next_at and self._ledger.waiting < self._max_open:
            self._trigger(now)
        if not self._left and not self._ledger.waiting:
            self._done.set()

    def _trigger(self, now: float) -> None:
        trigger = replace(self._next, encoder=self._belt(now)) if self._speed else self._next
        self._ledger.triggered(trigger, now)
        if self._sensor:
            self._sensor(trigger)
        self._link.send(trigger)
        self._left -= 1
        self._next_at = max(now, self._next_at + self._period_s) if self._period_s else now
        self._next = Trigger((trigger.part_id + 1) % 2**32, (trigger.encoder + ENCODER_STEP) % 2**32)

    def _belt(self, now: float) -> int:
        """Return the encoder's count on a belt that moves by itself."""
        return (self._first.encoder + int(self._speed * (now - self._started_at))) % 2**32


def _signal_end(way: LinkKind, baud: int, deadline_s: float) -> Endpoint:
    """Return the PLC's end of the 24 V handshake; it gives a part up just before the line does."""
    signals, times = PlcSignals(0.9 * deadline_s), SignalTimes()
    if way is LinkKind.IO_GPIO:
        return LineEnd(signals, times, Timing())
    from firmware_bridge.modbus.framing import RtuFraming, TcpFraming

    framing = TcpFraming(True, UNIT) if way.is_tcp else RtuFraming(True, UNIT, baud)
    return ModuleServer(signals, times, Timing(), framing)


def _far_end(way: LinkKind, baud: int, link_path: Path | None) -> tuple[Port, str]:
    """Return the PLC's port, and the address under which the station reaches it."""
    scheme, _, role = way.value.partition(" ")
    if not way.is_tcp:
        terminal = PseudoTerminal(link_path)
        return terminal, f"{scheme}://{terminal.name}?baud={baud}" + (f"&role={role}" if role else "")
    if way is LinkKind.S7:
        from firmware_bridge.s7_port import S7ServerPort

        cpu = S7ServerPort("127.0.0.1")
        return cpu, f"s7://127.0.0.1:{cpu.port}?db=1"
    listener = TcpServerPort("127.0.0.1", 0, frozenset())  # finds a free port
    address = f"{scheme}://127.0.0.1:{listener.port}" + (f"?role={role}" if role else "")
    if not way.station_serves:
        return listener, address
    listener.close()
    return TcpClientPort("127.0.0.1", listener.port), address
