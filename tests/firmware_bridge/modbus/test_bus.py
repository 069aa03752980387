"""A Modbus server on a bus: refusals, other units, echoes, wrong settings of the port; and the same over TCP."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.framer import FramerRTU

from firmware_bridge.errors import AddressInvalid, PortInUse
from firmware_bridge.events import Event, LineCleared, LineDisturbed, LineTrouble
from firmware_bridge.link import SerialLink, open_link
from firmware_bridge.messages import Hello
from firmware_bridge.modbus.framing import RtuFraming
from firmware_bridge.modbus.register_end import RegisterClient, RegisterServer
from firmware_bridge.modbus.register_map import CONTROL, MAP_VERSION, RESULT, STATUS
from firmware_bridge.modbus.station_handshake import StationHandshake
from firmware_bridge.tcp_port import IDLE_S, TcpClientPort, TcpServerPort
from firmware_bridge.timing import Timing


def frame(unit: int, pdu: bytes) -> bytes:
    """Give a frame of the bus."""
    body = bytes([unit]) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


class Bus:
    """A station's server in simulated time; `echo` gives it back what it writes."""

    def __init__(self, baud: int = 115_200, echo: bool = False) -> None:
        timing = Timing.for_modbus(baud)
        self.now, self._echo = 0.0, echo
        self.end = RegisterServer(StationHandshake(Hello(), timing, 0.0), timing, RtuFraming(True, 1, baud))
        self.events: list[Event] = []

    def hear(self, data: bytes, pause_s: float = 0.0) -> None:
        """Let bytes arrive, after a pause."""
        self.now += pause_s
        self.events += self.end.receive(data, self.now)

    def replies(self, seconds: float = 0.02) -> bytes:
        """Let time pass; give what the server has written."""
        written = b""
        for _ in range(round(seconds / 0.001)):
            self.now += 0.001
            self.events += self.end.tick(self.now)
            data = self.end.outgoing()
            written += data
            if self._echo and data:
                self.events += self.end.receive(data, self.now)
        return written


READ_ONE = frame(1, struct.pack(">BHH", 3, 0, 1))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (bytes([7]), 1),
        (bytes([1, 0, 0, 0, 1]), 1),
        (bytes([43, 14, 1, 0]), 1),
        (bytes([100]), 1),
        (struct.pack(">BHH", 3, 0, 0), 3),
        (struct.pack(">BHH", 3, 0, 126), 3),
        (struct.pack(">BHH", 4, 0, 0xFFFF), 3),
        (struct.pack(">BHH", 3, 40, 1), 2),
        (struct.pack(">BHHB", 16, 0, 0, 0), 3),
        (struct.pack(">BHHB", 16, 0, 2, 2) + bytes(2), 3),
        (struct.pack(">BHHB", 16, 0, 1, 4) + bytes(4), 3),
        (struct.pack(">BHH", 6, 100, 1), 2),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_by_the_standard_s_number(request_: bytes, code: int) -> None:
    bus = Bus()
    bus.hear(frame(1, request_))
    assert bus.replies() == frame(1, bytes([request_[0] | 0x80, code]))


def test_another_unit_is_not_answered() -> None:
    bus = Bus()
    bus.hear(frame(2, struct.pack(">BHH", 3, 0, 1)))
    bus.hear(frame(2, bytes([7])), 0.05)
    assert bus.replies() == b""


@pytest.mark.parametrize("baud", [9_600, 19_200, 115_200])
@pytest.mark.parametrize("pause_ms", [0, 2, 5, 10, 19, 40])
def test_the_reply_of_another_unit_shortly_before_loses_no_request(baud: int, pause_ms: int) -> None:
    bus = Bus(baud)
    for other in (1, 10, 60):
        bus.hear(frame(2, struct.pack(">BHH", 3, 0, other)), 0.1)
        bus.hear(frame(2, bytes([3, 2 * other]) + bytes(2 * other)), 0.003)
        bus.hear(READ_ONE, pause_ms / 1000)
        assert bus.replies() == frame(1, bytes([3, 2, 0, 0]))


def test_a_request_in_pieces_is_found() -> None:
    bus = Bus()
    for byte in READ_ONE:
        bus.hear(bytes([byte]), 0.016)  # an adapter's latency timer
    assert bus.replies() == frame(1, bytes([3, 2, 0, 0]))


@pytest.mark.parametrize("words", [1, 3])
def test_an_echo_of_our_own_reply_is_recognised_and_named(words: int) -> None:
    bus = Bus(echo=True)
    write = struct.pack(">BHH", 6, 6, 12) if words == 1 else struct.pack(">BHHB3H", 16, 0, 3, 6, 1, 0, 0)
    bus.hear(frame(1, write))
    assert bus.replies(10.0) == frame(1, write[:5])
    assert [event.trouble for event in bus.events if isinstance(event, LineDisturbed)] == [LineTrouble.ECHO]
    assert LineCleared(LineTrouble.ECHO) in bus.events


def test_a_client_on_a_bus_that_echoes_still_reads() -> None:
    timing = Timing.for_modbus(115_200)
    client = RegisterClient(StationHandshake(Hello(), timing, 0.0), timing, RtuFraming(False, 1, 115_200))
    events = client.tick(0.0)
    asked = client.outgoing()
    count = CONTROL.count + 3
    reply = frame(1, bytes([3, 2 * count]) + bytes(2 * count))
    events += client.receive(asked, 0.001)
    events += client.receive(reply, 0.004)
    assert client.tally.received == 1
    client.tick(0.02)
    assert client.outgoing()[1] == 16  # the read was answered, so that it writes now


def test_a_reply_in_pieces_that_begins_as_its_request_is_no_echo() -> None:
    timing = Timing.for_modbus(115_200)
    client = RegisterClient(StationHandshake(Hello(), timing, 0.0), timing, RtuFraming(False, 1, 115_200))
    client.tick(0.0)
    client.outgoing()
    count = CONTROL.count + 3
    client.receive(frame(1, bytes([3, 2 * count]) + bytes(2 * count)), 0.002)
    client.tick(0.01)
    asked = client.outgoing()
    assert asked[1] == 16
    reply = frame(1, asked[1:6])
    for at in range(0, len(reply), 3):
        client.receive(reply[at : at + 3], 0.011 + at / 10_000)
    assert client.tally.received == 2


def test_bytes_that_make_no_frame_are_told_apart_from_silence() -> None:
    bus = Bus()
    for _ in range(60):
        bus.hear(bytes([0x81, 0x83, 0x55, 0xC1] * 3), 0.05)
        bus.replies(0.001)
    (disturbed,) = (event for event in bus.events if isinstance(event, LineDisturbed))
    assert disturbed.trouble is LineTrouble.UNREADABLE
    assert "baud rate, parity" in disturbed.reason


def test_the_traffic_of_other_units_is_readable() -> None:
    bus = Bus()
    for _ in range(100):
        bus.hear(frame(2, bytes([3, 40]) + bytes(range(40))), 0.05)
        bus.replies(0.001)
    assert not any(isinstance(event, LineDisturbed) for event in bus.events)


# TCP


@pytest.fixture
def link() -> Iterator[SerialLink]:
    """A station that serves the registers on a free port of this machine."""
    opened = open_link("modbus-tcp://127.0.0.1:0", Hello())
    assert isinstance(opened, SerialLink)
    yield opened
    opened.close()


def test_a_foreign_master_reads_and_writes_over_tcp(link: SerialLink) -> None:
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            link.poll(0.01)

    port = link._port
    assert isinstance(port, TcpServerPort)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ModbusTcpClient("127.0.0.1", port=port.port, timeout=10) as master:
            status = STATUS.unpack(master.read_holding_registers(STATUS.address, count=STATUS.count).registers)
            assert status["map_version"] == MAP_VERSION
            assert not master.write_registers(0, [1, 0]).isError()
            assert master.read_input_registers(0, count=2).registers == [1, 0]
            assert master.write_register(RESULT.address, 1).exception_code == 2
            assert master.read_coils(0, count=1).exception_code == 1
    finally:
        stop.set()
        thread.join()


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def connected(server: TcpServerPort, host: str = "127.0.0.1") -> socket.socket:
    """Connect, and let the server take it or refuse it."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(host, 0))
    server.read(10.0)
    return client


def test_one_master_at_a_time_until_it_is_silent() -> None:
    clock = Clock()
    server = TcpServerPort("127.0.0.1", 0, frozenset(), clock)
    first, second = connected(server), connected(server)
    assert server.refused == 1
    assert second.recv(1) == b""
    first.sendall(b"still here")
    assert server.read(10.0) == b"still here"
    clock.now += IDLE_S
    third = connected(server)
    third.sendall(b"now me")
    assert server.read(10.0) == b"now me"
    assert first.recv(1) == b""
    for client in (first, second, third):
        client.close()
    server.close()


def test_a_host_that_is_refused_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    server = TcpServerPort("127.0.0.1", 0, frozenset({"127.0.0.2"}))
    for _ in range(3):
        stranger = connected(server)
        server.read(1.0)
        stranger.close()
    server.close()
    (message,) = [record.getMessage() for record in caplog.records]
    assert "refused 127.0.0.1, expected one of 127.0.0.2" in message


def test_a_host_that_is_not_allowed_is_refused() -> None:
    server = TcpServerPort("127.0.0.1", 0, frozenset({"127.0.0.2"}))
    stranger = connected(server)
    assert (server.refused, stranger.recv(1)) == (1, b"")
    plc = connected(server, "127.0.0.2")
    plc.sendall(b"hello")
    assert server.read(10.0) == b"hello"
    for client in (stranger, plc):
        client.close()
    server.close()


def test_a_master_that_leaves_makes_room() -> None:
    server = TcpServerPort("127.0.0.1", 0, frozenset())
    connected(server).close()
    assert server.read(10.0) == b""
    plc = connected(server)
    server.write(b"reply")
    assert plc.recv(10) == b"reply"
    plc.close()
    server.close()


def test_a_port_of_the_network_that_is_in_use_is_one_clear_line() -> None:
    server = TcpServerPort("127.0.0.1", 0, frozenset())
    with pytest.raises(PortInUse, match="in use by another program"):
        TcpServerPort("127.0.0.1", server.port, frozenset())
    server.close()


def test_a_client_waits_for_its_server_and_comes_back_to_it() -> None:
    server = TcpServerPort("127.0.0.1", 0, frozenset())
    number = server.port
    clock = Clock()
    server.close()
    client = TcpClientPort("127.0.0.1", number, clock)
    client.write(b"lost")
    assert client.read(0.0) == b""
    server = TcpServerPort("127.0.0.1", number, frozenset())
    clock.now += 1.0
    client.read(0.0)
    client.write(b"there")
    server.read(10.0)
    assert server.read(10.0) == b"there"
    client.close()
    server.close()


@pytest.mark.parametrize(
    "address",
    [
        "modbus-tcp://0.0.0.0:502",
        "modbus-tcp://192.168.1.5",
        "modbus-tcp:///dev/ttyS0",
        "modbus-tcp://h:99999",
        "modbus-tcp://127.0.0.1:502?baud=9600",
    ],
)
def test_a_network_address_that_cannot_be_read_says_what_is_expected(address: str) -> None:
    with pytest.raises(AddressInvalid, match="expected"):
        open_link(address, Hello())
