"""The connection between PLC and station over TCP: whole, cut, unplugged, late."""

import socket
from collections.abc import Iterator
from contextlib import closing
from random import Random
from time import monotonic

import pytest

from tools.fault_rig.equipment.tcp_relay import HOST, TcpRelay

SAID = bytes(range(256))
PATIENCE_S = 10.0


class Route:
    """A server, the relay in front of it, a master that has connected through it."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(PATIENCE_S)
        self.relay = TcpRelay(0, self._listener.getsockname()[1], Random(1), monotonic)
        self.master = self.connect()
        self.server, _ = self._listener.accept()
        self.server.settimeout(PATIENCE_S)

    def connect(self) -> socket.socket:
        """Connect to the relay."""
        return socket.create_connection((HOST, self.relay.port), timeout=PATIENCE_S)

    def close(self) -> None:
        """Close everything."""
        self.relay.close()
        for one in (self.master, self.server, self._listener):
            one.close()


def heard(end: socket.socket, length: int) -> bytes:
    """Read this number of bytes, fewer where the connection ends."""
    data = b""
    while len(data) < length and (more := end.recv(length - len(data))):
        data += more
    return data


@pytest.fixture
def route() -> Iterator[Route]:
    """A whole connection."""
    opened = Route()
    yield opened
    opened.close()


@pytest.mark.parametrize("late", [False, True])
def test_bytes_arrive_in_order_both_ways(route: Route, late: bool) -> None:
    route.relay.disturb(late)
    for sender, receiver in ((route.master, route.server), (route.server, route.master)):
        for _ in range(4):
            sender.sendall(SAID)
        assert heard(receiver, 4 * len(SAID)) == 4 * SAID


def test_what_is_said_while_the_cable_is_cut_arrives_when_it_is_joined(route: Route) -> None:
    route.relay.cut(True)
    route.master.sendall(SAID)
    route.server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        route.server.recv(1)
    route.relay.cut(False)
    route.server.settimeout(PATIENCE_S)
    assert heard(route.server, len(SAID)) == SAID


def test_an_unplugged_cable_ends_the_connection_and_takes_no_other(route: Route) -> None:
    route.relay.unplug(True)
    assert heard(route.server, 1) == heard(route.master, 1) == b""
    with route.connect() as refused:
        assert heard(refused, 1) == b""
    route.relay.unplug(False)
    with route.connect() as again:
        again.sendall(SAID)
        server, _ = route._listener.accept()
        with server:
            server.settimeout(PATIENCE_S)
            assert heard(server, len(SAID)) == SAID


def test_a_server_that_is_not_there_ends_the_masters_connection() -> None:
    with socket.create_server((HOST, 0)) as listener:
        gone = listener.getsockname()[1]
    with (
        closing(TcpRelay(0, gone, Random(1), monotonic)) as relay,
        socket.create_connection((HOST, relay.port)) as master,
    ):
        master.settimeout(PATIENCE_S)
        assert heard(master, 1) == b""
