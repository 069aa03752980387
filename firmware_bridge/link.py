"""Links to the PLC: what the runtime opens, polls, and sends results to."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Protocol

from firmware_bridge.address import Address, one_of, parse_address, whole_number
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.errors import AddressInvalid, LinkClosed, LinkError, PortFailed
from firmware_bridge.events import Event, PortBack, PortLost
from firmware_bridge.messages import Hello, Message, Offline
from firmware_bridge.port import BAUD_DEFAULT, BAUD_RANGE, Port, SerialPort
from firmware_bridge.signals.opening import SIGNAL_SCHEMES, open_terminals
from firmware_bridge.tcp_port import TcpClientPort, TcpServerPort, is_loopback
from firmware_bridge.wiring import UNIT, LinkKind, endpoint

WRITE_TIMEOUT_S = 0.2
REOPEN_S = (0.1, 2.0)
"""Shortest and longest pause before the port is tried again; it doubles from one to the other."""

POLL_MS, POLL_MS_RANGE = 5, range(1, 101)
"""Pause between two requests to a data block; the longest still shows a heartbeat in time."""

SCHEMES = {
    "serial": ("baud",),
    "modbus-rtu": ("baud", "parity", "unit", "role", "belt"),
    "modbus-tcp": ("unit", "role", "belt", "allow"),
    "s7": ("db", "rack", "slot", "belt", "poll_ms"),
    **SIGNAL_SCHEMES,
}


class Link(Protocol):
    """A line to the PLC. One thread polls; any thread sends."""

    @property
    def is_open(self) -> bool:
        """Whether messages pass both ways at present."""

    def poll(self, timeout_s: float) -> list[Event]:
        """Read, keep the session alive, and return the events, after `timeout_s` at the latest.

        To be called without longer pauses than a fraction of the heartbeat (0.25 s): the heartbeat shows that this
        thread is alive. Raises LinkClosed after `close`, and nothing else.
        """

    def send(self, message: Message) -> None:
        """Send at once, or as soon as the window allows; never blocks longer than the write timeout.

        What became of it comes from `poll`, as Acknowledged or Undelivered. Raises LinkClosed after `close`.
        """

    def go_offline(self, reason: str) -> None:
        """Tell the PLC that no more results will come; `reason` is ASCII, at most 32 characters."""

    def close(self) -> None:
        """Release the port; call it from the polling thread, or after that thread has ended."""


def open_link(address: str, hello: Hello, clock: Callable[[], float] = time.monotonic, shadow: bool = False) -> Link:
    """Open the line at `address`.

    `serial:///dev/ttyTHS1?baud=115200` is the framed line, 8N1. `modbus-rtu:///dev/ttyUSB0?baud=115200&parity=E&unit=1`
    serves the registers to a PLC that polls; with `&role=client` the PLC serves them and this end polls, with `&belt=1`
    the belt block too. These are the defaults. `modbus-tcp://0.0.0.0:502?allow=192.168.1.10` is the same over a
    network; a server takes one master at a time, of the hosts that `allow` lists, comma-separated. `shadow` tells the
    PLC of shadow mode. `s7://192.168.0.10:102?db=100&rack=0&slot=1&belt=0&poll_ms=5` reads and writes the data block of
    an S7. The `io-` schemes are the 24 V handshake, see signals/opening.py.

    Raises a LinkError where the address or the port cannot be used now; a port that fails later is an event.
    """
    parts = parse_address(address, SCHEMES)
    if parts.scheme in SIGNAL_SCHEMES:
        return SerialLink(*open_terminals(address, parts, clock()), clock)
    baud = whole_number(address, parts.options, "baud", BAUD_DEFAULT, BAUD_RANGE)
    unit = whole_number(address, parts.options, "unit", UNIT, range(1, 248))
    kind = _kind(address, parts)
    parity = "N" if kind is LinkKind.FRAMED else one_of(address, parts.options, "parity", ("E", "O", "N"))
    belt = bool(whole_number(address, parts.options, "belt", 0, range(2)))
    poll_s = whole_number(address, parts.options, "poll_ms", POLL_MS, POLL_MS_RANGE) / 1000
    end = endpoint(kind, hello, new_session_number(), clock(), baud, unit, belt, shadow, poll_s)
    if kind.is_tcp:
        return SerialLink(_tcp_port(address, parts, kind), end, clock)
    # Modbus has eleven bits a character: where the parity is missing, there are two stop bits.
    stop_bits = 2 if parts.scheme == "modbus-rtu" and parity == "N" else 1
    return SerialLink(lambda: SerialPort(parts.path, baud, WRITE_TIMEOUT_S, parity, stop_bits), end, clock)


def link_kind(address: str) -> LinkKind:
    """Return the way of an address; raises AddressInvalid."""
    return _kind(address, parse_address(address, SCHEMES))


def _kind(address: str, parts: Address) -> LinkKind:
    if parts.scheme in ("serial", "s7", *SIGNAL_SCHEMES):
        return LinkKind(parts.scheme)
    role = one_of(address, parts.options, "role", ("server", "client"))
    return LinkKind(f"{parts.scheme} {role}")


def _tcp_port(address: str, parts: Address, kind: LinkKind) -> Callable[[], Port]:
    if kind is LinkKind.S7:
        return _s7_port(address, parts)
    if kind is LinkKind.MODBUS_TCP_CLIENT:
        return lambda: TcpClientPort(parts.host, parts.port)
    allowed = frozenset(filter(None, parts.options.get("allow", "").split(",")))
    if not allowed and not is_loopback(parts.host):
        raise AddressInvalid(f"{address!r}: expected the PLC's address as allow=, found none; every host could write")
    return lambda: TcpServerPort(parts.host, parts.port, allowed)


def _s7_port(address: str, parts: Address) -> Callable[[], Port]:
    db, rack, slot = (
        whole_number(address, parts.options, name, default, allowed)
        for name, default, allowed in (("db", 0, range(1, 65_536)), ("rack", 0, range(8)), ("slot", 1, range(32)))
    )
    try:
        from firmware_bridge.s7_port import S7ClientPort
    except ImportError as error:
        raise PortFailed(f"{address}: python-snap7 is not installed; pip install 'edge-inspect[s7]'") from error
    return lambda: S7ClientPort(parts.host, parts.port, db, rack, slot)


def new_session_number() -> int:
    """Draw a session number, so that two sessions of one peer differ (all but once in 65535 times)."""
    return 1 + secrets.randbelow(0xFFFF)


class SerialLink:
    """An endpoint on a port that may fail and come back; either end of any way to speak."""

    def __init__(self, open_port: Callable[[], Port], session: Endpoint, clock: Callable[[], float]) -> None:
        """Open the port for the first time; what `open_port` raises is passed on."""
        self.session = session
        self.write_timeouts = 0
        self._open_port, self._clock = open_port, clock
        self._lock = threading.Lock()
        self._events: list[Event] = []  # those that arose in `send`, for the next `poll`
        self._closed = threading.Event()
        self._reopen_at, self._pause_s = 0.0, REOPEN_S[0]
        self._port: Port | None = open_port()
        self._flush()

    @property
    def is_open(self) -> bool:
        """See Link."""
        return self._port is not None and self.session.is_open

    def poll(self, timeout_s: float) -> list[Event]:
        """See Link."""
        with self._lock:
            self._advance(b"")
            wait_s = 0.0 if self._events else self._wait_s(timeout_s)
            port = self._port
        data = self._read(port, wait_s)
        with self._lock:
            self._advance(data)
            events, self._events = self._events, []
        return events

    def send(self, message: Message) -> None:
        """See Link."""
        with self._lock:
            self._require_open()
            self._events += self.session.send(message, self._clock())
            self._flush()

    def go_offline(self, reason: str) -> None:
        """See Link."""
        self.send(Offline(reason))

    def close(self) -> None:
        """See Link."""
        with self._lock:
            self._closed.set()
            if self._port:
                self._port.close()
            self._port = None

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise LinkClosed("the line to the PLC was closed before this call; open it again")

    def _wait_s(self, timeout_s: float) -> float:
        # A `send` from another thread during the wait may need its first repeat after retry_s.
        due = self.session.next_tick() if self._port else min(self.session.next_tick(), self._reopen_at)
        return max(0.0, min(timeout_s, due - self._clock(), self.session.timing.retry_s))

    def _read(self, port: Port | None, wait_s: float) -> bytes:
        if port is None:
            self._closed.wait(wait_s)
            return b""
        try:
            return port.read(wait_s)
        except OSError as error:
            with self._lock:
                self._lose_port(error)
            return b""

    def _advance(self, data: bytes) -> None:
        self._require_open()
        now = self._clock()
        self._events += self.session.receive(data, now) if data else []
        self._events += self.session.tick(now)
        if self._port is None and now >= self._reopen_at:
            self._reopen(now)
        self._flush()

    def _flush(self) -> None:
        data = self.session.outgoing()
        if self._port is None or not data:
            return
        try:
            self._port.write(data)
        except TimeoutError:
            self.write_timeouts += 1  # the peer sees half a frame; the session repeats it
        except OSError as error:
            self._lose_port(error)

    def _lose_port(self, error: OSError) -> None:
        if self._port:
            self._port.close()
            self._port = None
            self._pause_s = REOPEN_S[0]
            self._reopen_at = self._clock() + self._pause_s
            self._events.append(PortLost(str(error)))

    def _reopen(self, now: float) -> None:
        try:
            self._port = self._open_port()
        except LinkError:
            self._pause_s = min(2 * self._pause_s, REOPEN_S[1])
            self._reopen_at = now + self._pause_s
        else:
            self._events.append(PortBack())
