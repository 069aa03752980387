"""A stream of bytes over TCP, from either end; the way of Modbus TCP."""

import errno
import ipaddress
import logging
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from firmware_bridge.errors import PortFailed, PortInUse, PortNotPermitted

log = logging.getLogger(__name__)

IDLE_S = 2.0
"""A master that has been silent for this long gives way to another; a PLC that was switched off says no goodbye."""

CONNECT_S = 0.2
RECONNECT_S = 0.2
WRITE_S = 0.2
_KEPT = 4096
_NAMED = 64
"""Refused hosts that are logged."""


def is_loopback(host: str) -> bool:
    """Whether a server at `host` can be reached from this machine only."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class _Connection:
    """The connection of either end, if there is one."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def _adopt(self, connected: socket.socket) -> None:
        connected.settimeout(WRITE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected

    def _drop(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _receive(self) -> bytes:
        """Take what has come; a connection that has ended is dropped."""
        if self._socket is None:
            return b""
        try:
            data = self._socket.recv(_KEPT)
        except OSError:
            data = b""
        if not data:
            self._drop()
        return data

    def write(self, data: bytes) -> None:
        """See Port; without a connection what is written is lost, as on a wire without a listener."""
        if self._socket is None:
            return
        try:
            self._socket.sendall(data)
        except OSError:  # half a frame may be out, so that nothing behind it could be read
            self._drop()


class TcpServerPort(_Connection):
    """A port of this machine, for one master at a time of those that are allowed; an empty list allows all."""

    def __init__(
        self, host: str, port: int, allowed: frozenset[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to listen; raises PortInUse, PortNotPermitted or PortFailed."""
        super().__init__()
        self.refused = 0
        """Connections that were closed at once: not allowed, or beside the present master."""
        self._allowed, self._clock, self._heard_at = allowed, clock, 0.0
        self._named: set[tuple[str, str]] = set()
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            raise _explain(host, port, error) from error
        self.port: int = self._listener.getsockname()[1]

    def read(self, timeout_s: float) -> bytes:
        """See Port."""
        waiting = [self._listener] + ([self._socket] if self._socket else [])
        readable, _, _ = select.select(waiting, [], [], timeout_s)
        if self._listener in readable:
            self._accept()
        if self._socket is None or self._socket not in readable:
            return b""
        self._heard_at = self._clock()
        return self._receive()

    def _accept(self) -> None:
        try:
            connected, (peer, *_) = self._listener.accept()
        except OSError:  # it has gone again
            return
        busy = self._socket is not None and self._clock() < self._heard_at + IDLE_S
        if busy or (self._allowed and peer not in self._allowed):
            self.refused += 1
            connected.close()
            self._say_refused(peer, busy)
            return
        self._drop()
        self._heard_at = self._clock()
        self._adopt(connected)

    def _say_refused(self, peer: str, busy: bool) -> None:
        """Log a refused host, once for each and reason: it may try many times a second."""
        allowed = ", ".join(sorted(self._allowed)) or "any host"
        reason = "beside the master that is connected; one at a time" if busy else f"expected one of {allowed} (allow=)"
        if (peer, reason) not in self._named and len(self._named) < _NAMED:
            self._named.add((peer, reason))
            log.warning("port %d: refused %s, %s", self.port, peer, reason)

    def close(self) -> None:
        """See Port."""
        self._drop()
        self._listener.close()


class TcpClientPort(_Connection):
    """A connection to a server, which need not be there yet; it is tried again and again."""

    def __init__(self, host: str, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without a connection."""
        super().__init__()
        self._peer, self._clock, self._try_at = (host, port), clock, 0.0

    def read(self, timeout_s: float) -> bytes:
        """See Port."""
        if self._socket is None and self._clock() >= self._try_at:
            self._connect()
        if self._socket is None:
            select.select([], [], [], min(timeout_s, RECONNECT_S))
            return b""
        readable, _, _ = select.select([self._socket], [], [], timeout_s)
        return self._receive() if readable else b""

    def _connect(self) -> None:
        self._try_at = self._clock() + RECONNECT_S
        with suppress(OSError):  # not there yet: the handshake notices the silence, and its alarm names it
            self._adopt(socket.create_connection(self._peer, timeout=CONNECT_S))

    def close(self) -> None:
        """See Port."""
        self._drop()


def _explain(host: str, port: int, error: OSError) -> PortInUse | PortNotPermitted | PortFailed:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"{host}:{port}: in use by another program; `ss -ltnp` names it; close it and start again")
    if error.errno in (errno.EACCES, errno.EPERM):
        advice = "ports below 1024 need CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=), or choose another port"
        return PortNotPermitted(f"{host}:{port}: not permitted; {advice}")
    return PortFailed(f"{host}:{port}: does not open: {error}; expected an address of this machine")
