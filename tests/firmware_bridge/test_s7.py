"""A data block of an S7 as the way to the PLC: cut, restart, STOP, wrong data blocks, other clients."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("snap7", reason="python-snap7 is not installed (extra: s7)")

from snap7.client import Client

from firmware_bridge.errors import AddressInvalid
from firmware_bridge.events import Event, HelloReceived, LineDisturbed, LineTrouble, PeerLost, Refused
from firmware_bridge.generate.__main__ import HERE
from firmware_bridge.link import Link, SerialLink, open_link
from firmware_bridge.messages import ActiveAlarms, Hello, Result, Role, Trigger, Verdict
from firmware_bridge.modbus.register_map import ALARMS, BELT, BLOCKS, CONTROL, DB_BYTES, RESULT, STATUS, written_by
from firmware_bridge.s7_port import S7ServerPort
from firmware_bridge.wiring import LinkKind, endpoint

PATIENCE_S = 30.0  # a bound for a loaded machine, not a wait
DB = 100


class Cpu:
    """A PLC with the data block and a program that plays its part of the handshake."""

    def __init__(self, port: int = 0, size: int = DB_BYTES) -> None:
        self.port = S7ServerPort("127.0.0.1", port, DB, size)
        end = endpoint(LinkKind.S7, Hello(Role.PLC), 1, time.monotonic(), 115_200)
        self.link = SerialLink(lambda: self.port, end, time.monotonic)

    def address(self, db: int = DB) -> str:
        return f"s7://127.0.0.1:{self.port.port}?db={db}&poll_ms=1"


@pytest.fixture
def cpu() -> Iterator[Cpu]:
    running = Cpu()
    yield running
    running.link.close()


@pytest.fixture
def station(cpu: Cpu) -> Iterator[Link]:
    opened = open_link(cpu.address(), Hello())
    yield opened
    opened.close()


def until(done: Callable[[list[Event]], bool], *links: Link) -> list[Event]:
    """Poll the links in turn until the events of the first satisfy `done`; gives these."""
    events: list[Event] = []
    end = time.monotonic() + PATIENCE_S
    while not done(events):
        assert time.monotonic() < end, f"not after {PATIENCE_S} s; last events {events[-3:]}"
        for number, link in enumerate(links):
            heard = link.poll(0.005)
            events += heard if number == 0 else []
    return events


def has(kind: type) -> Callable[[list[Event]], bool]:
    return lambda events: any(isinstance(event, kind) for event in events)


def pass_one_part(cpu: Cpu, station: Link, part_id: int, verdict: Verdict = Verdict.OK) -> list[Result]:
    """Trigger a part, answer it, and give the results that the PLC has taken."""
    until(lambda _: cpu.link.is_open and station.is_open, station, cpu.link)
    cpu.link.send(Trigger(part_id, 10 * part_id))
    until(has(Trigger), station, cpu.link)
    station.send(Result(part_id, 10 * part_id, verdict))
    return [event for event in until(has(Result), cpu.link, station) if isinstance(event, Result)]


def test_a_result_keeps_each_field(cpu: Cpu, station: Link) -> None:
    until(lambda _: cpu.link.is_open and station.is_open, station, cpu.link)
    whole = Result(7, 70, Verdict.NG, 2, 0.5, 70_000, (1, 2, 3, 4), 90_000, 3, "00ff00ff")
    cpu.link.send(Trigger(7, 70))
    until(has(Trigger), station, cpu.link)
    station.send(whole)
    assert whole in until(has(Result), cpu.link, station)


def test_a_data_block_is_big_endian_with_register_n_at_byte_2n(cpu: Cpu, station: Link) -> None:
    pass_one_part(cpu, station, 0x01020304, Verdict.NG)
    hmi = Client().connect("127.0.0.1", 0, 1, cpu.port.port)
    assert hmi.db_read(DB, 2 * RESULT.address, 4) == bytes([1, 2, 3, 4])
    assert hmi.db_read(DB, 2 * CONTROL.address + 4, 4) == bytes([1, 2, 3, 4])
    hmi.disconnect()


def test_a_cut_is_noticed_and_a_restarted_cpu_starts_a_new_session(cpu: Cpu, station: Link) -> None:
    assert len(pass_one_part(cpu, station, 1)) == 1
    cpu.link.close()
    until(has(PeerLost), station)
    assert not station.is_open
    restarted = Cpu(cpu.port.port)
    try:
        events = until(has(HelloReceived), station, restarted.link)
        assert [event.restarted for event in events if isinstance(event, HelloReceived)] == [True]
        assert pass_one_part(restarted, station, 2) == [Result(2, 20, Verdict.OK)]
    finally:
        restarted.link.close()


def test_a_result_of_a_part_from_before_the_restart_is_withheld(cpu: Cpu, station: Link) -> None:
    until(lambda _: cpu.link.is_open and station.is_open, station, cpu.link)
    cpu.link.send(Trigger(5, 50))
    until(has(Trigger), station, cpu.link)
    cpu.link.close()
    until(has(PeerLost), station)
    restarted = Cpu(cpu.port.port)
    try:
        until(lambda _: restarted.link.is_open and station.is_open, station, restarted.link)
        station.send(Result(5, 50, Verdict.OK))
        assert pass_one_part(restarted, station, 6, Verdict.NG) == [Result(6, 60, Verdict.NG)]
    finally:
        restarted.link.close()


def test_a_cpu_in_stop_is_a_plc_that_is_silent(cpu: Cpu, station: Link) -> None:
    until(lambda _: station.is_open, station, cpu.link)
    cpu.port.runs = False
    until(has(PeerLost), station, cpu.link)
    assert not station.is_open
    cpu.port.runs = True
    assert len(pass_one_part(cpu, station, 3)) == 1


def test_a_data_block_that_is_reset_gets_the_alarms_again(cpu: Cpu, station: Link) -> None:
    until(lambda _: station.is_open and cpu.link.is_open, station, cpu.link)
    station.send(ActiveAlarms(2))
    assert ActiveAlarms(2) in until(has(ActiveAlarms), cpu.link, station)
    panel = Client().connect("127.0.0.1", 0, 1, cpu.port.port)
    cpu.port.put(0, [0] * (DB_BYTES // 2))
    until(lambda _: panel.db_read(DB, 2 * ALARMS.address, 2) == b"\0\2", cpu.link, station)
    assert len(pass_one_part(cpu, station, 4)) == 1
    panel.disconnect()


@pytest.mark.parametrize(
    ("size", "db", "found"),
    [
        (2 * written_by("PLC").stop, DB, "shorter than"),
        (DB_BYTES - 2, DB, "shorter than"),
        (16, DB, "shorter than"),
        (DB_BYTES, DB + 1, "no such data block"),
    ],
)
def test_a_wrong_data_block_is_named(size: int, db: int, found: str) -> None:
    server = S7ServerPort("127.0.0.1", 0, DB, size)
    station = open_link(f"s7://127.0.0.1:{server.port}?db={db}", Hello())
    try:
        refused = [event for event in until(has(Refused), station) if isinstance(event, Refused)]
        assert found in refused[0].reason
        assert not station.is_open
    finally:
        station.close()
        server.close()


def test_a_panel_that_reads_and_writes_elsewhere_does_no_harm(cpu: Cpu, station: Link) -> None:
    panel = Client().connect("127.0.0.1", 0, 1, cpu.port.port)
    results: list[Result] = []
    for part_id in range(1, 21):
        panel.db_read(DB, 0, DB_BYTES)
        panel.db_write(DB, 2 * written_by("PLC").stop, bytearray(b"\x55" * 20))
        results += pass_one_part(cpu, station, part_id)
    assert [result.part_id for result in results] == list(range(1, 21))
    panel.disconnect()


def test_a_second_station_in_one_data_block_is_noticed_by_both(cpu: Cpu, station: Link) -> None:
    until(lambda _: station.is_open and cpu.link.is_open, station, cpu.link)
    second = open_link(cpu.address(), Hello())
    noticed: set[Link] = set()
    end = time.monotonic() + PATIENCE_S
    try:
        while noticed != {station, second} or station.is_open or second.is_open:
            assert time.monotonic() < end, noticed
            cpu.link.poll(0.005)
            for link in (station, second):
                disturbances = [event for event in link.poll(0.005) if isinstance(event, LineDisturbed)]
                noticed |= {link for event in disturbances if event.trouble is LineTrouble.TWO_PEERS}
    finally:
        second.close()


@pytest.mark.parametrize(
    "words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x03\x00\x00\x07\x02\xf0\x80", b"\x03" * 9]
)
def test_a_server_that_speaks_something_else_is_silence(words: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        station = open_link(f"s7://127.0.0.1:{listener.getsockname()[1]}?db=1", Hello())

        def answer() -> None:
            connected, _ = listener.accept()
            with connected:
                connected.recv(100)
                connected.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        until(has(PeerLost), station)
        thread.join()
        assert not station.is_open
        station.close()


@pytest.mark.parametrize(
    "address",
    [
        "s7://192.168.0.10:102",
        "s7://192.168.0.10:102?db=0",
        "s7://192.168.0.10?db=1",
        "s7://192.168.0.10:102/0/1?db=1",
        "s7://192.168.0.10:102?db=1&slot=32",
        "s7://192.168.0.10:102?db=1&poll_ms=0",
        "s7://192.168.0.10:102?db=1&unit=1",
    ],
)
def test_an_address_that_cannot_be_read_says_what_is_expected(address: str) -> None:
    with pytest.raises(AddressInvalid, match="expected"):
        open_link(address, Hello())


def test_the_source_of_the_data_block_puts_each_register_at_its_byte() -> None:
    """Offsets counted by the rules of a block without optimised access: each member of 2 or 4 bytes at an even byte."""
    sizes = {"UInt": 2, "UDInt": 4}
    at, told = 0, []
    for line in (HERE / "plc_data_block.scl").read_text(encoding="utf-8").splitlines():
        if array := re.match(r" +reserved : Array\[0\.\.(\d+)\] of Word;", line):
            at += 2 * (int(array[1]) + 1)
        elif member := re.match(r" +(\w+) : (UInt|UDInt);   // (\d+):", line):
            assert int(member[3]) == at, line
            told.append((member[1], at))
            at += sizes[member[2]]
    assert told == [(one.name, 2 * place) for block in BLOCKS for place, one in block.placed()]
    assert at == DB_BYTES


def test_each_block_fits_one_request_of_the_smallest_cpu() -> None:
    """A PDU of 240 bytes, as an S7-1200 has, carries 222 bytes of a read and 212 of a write."""
    assert max(2 * block.count for block in (RESULT, STATUS, ALARMS)) <= 212
    assert 2 * (CONTROL.count + BELT.count) <= 222
