"""Modbus RTU: the map and its documents, the server's manners, and both sides over faulty wires."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from firmware_bridge.errors import MessageMalformed
from firmware_bridge.events import Event, Refused
from firmware_bridge.generate import __main__ as generate
from firmware_bridge.messages import (
    SHADOW,
    ActiveAlarms,
    BeltPosition,
    FaultCode,
    Hello,
    Result,
    Role,
    Verdict,
)
from firmware_bridge.modbus.framing import RtuFraming
from firmware_bridge.modbus.register_end import RegisterClient, RegisterServer
from firmware_bridge.modbus.register_map import (
    ALARMS,
    BELT,
    BLOCKS,
    CONTROL,
    MAP_VERSION,
    RESULT,
    STATUS,
    read_result,
    result_values,
)
from firmware_bridge.modbus.station_handshake import StationHandshake
from firmware_bridge.simulator.faulty_wire import Faults
from firmware_bridge.simulator.rehearsal import Rehearsal
from firmware_bridge.timing import MODBUS_CYCLE_BYTES, Timing
from firmware_bridge.wiring import LinkKind, endpoint

TIMING = Timing.for_modbus(115_200)
RESULT_OF_7 = Result(7, 7000, Verdict.NG, 2, 0.9871, 431, (120, 40, 33, 18), 8125, 3, "00ff00ff", SHADOW)


END = ALARMS.address + ALARMS.count


# The map


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_block_comes_back_as_it_was(block) -> None:
    values = {one.name: (place * 0x12345 + 1) % 2 ** (16 * one.words) for place, one in enumerate(block.registers)}
    assert block.unpack(block.pack(values)) == values
    assert len(block.pack(values)) == block.count


def test_blocks_do_not_overlap_and_those_of_one_side_lie_side_by_side() -> None:
    assert CONTROL.address + CONTROL.count == BELT.address
    assert BELT.address + BELT.count <= RESULT.address
    assert RESULT.address + RESULT.count == STATUS.address
    assert STATUS.address + STATUS.count == ALARMS.address


def test_the_sequence_stands_behind_all_that_it_announces() -> None:
    assert STATUS.registers[-1].name == "result_sequence"
    assert CONTROL.registers[-1].name == "trigger_sequence"


def test_a_result_survives_the_registers() -> None:
    assert read_result(RESULT.unpack(RESULT.pack(result_values(RESULT_OF_7)))) == RESULT_OF_7


@pytest.mark.parametrize(
    "change", [{"verdict": 1}, {"verdict_inverted": 0}, {"verdict": 9, "verdict_inverted": 0xFFF6}]
)
def test_a_damaged_verdict_is_no_result(change: dict[str, int]) -> None:
    with pytest.raises(MessageMalformed):
        read_result(result_values(RESULT_OF_7) | change)


def test_the_structured_text_uses_the_registers_of_the_map() -> None:
    text = (generate.HERE / "plc_example.st").read_text(encoding="utf-8")
    used = re.findall(r"^ +(CONTROL|RESULT|STATUS)_(\w+) *: INT := (\d+);", text, re.MULTILINE)
    places = {(block.name.upper(), one.name.upper()): at for block in BLOCKS for at, one in block.placed()}
    assert {(block, name): int(at) for block, name, at in used}.items() <= places.items()
    assert len(used) > 10
    assert f"ARRAY [{RESULT.address}..{STATUS.address + STATUS.count - 1}] OF WORD" in text


def test_a_polling_cycle_is_no_longer_than_its_timing_assumes() -> None:
    read = 8 + 5 + 2 * (CONTROL.count + BELT.count)
    writes = [9 + 2 * block.count + 8 for block in (RESULT, ALARMS, STATUS)]
    assert 100 < read + sum(writes) <= MODBUS_CYCLE_BYTES


# The server


class Client:
    """Requests to a station's server, byte by byte where told so."""

    def __init__(self, unit: int = 1) -> None:
        self.station = StationHandshake(Hello(), TIMING, 0.0)
        self.server = RegisterServer(self.station, TIMING, RtuFraming(True, 1, 115_200))
        self.framer, self.unit, self.now = FramerRTU(DecodePDU(False)), unit, 0.0

    def ask(self, request: ModbusPDU, garbage: bytes = b"", piece: int = 300) -> ModbusPDU | None:
        """Give the reply, None where there is none."""
        request.dev_id = self.unit
        frame = garbage + self.framer.buildFrame(request)
        for start in range(0, len(frame), piece):
            self.server.receive(frame[start : start + piece], self.now)
        self.now += 0.05
        self.server.tick(self.now)
        _, reply = self.framer.handleFrame(self.server.outgoing(), 0, 0)
        return reply


def test_all_registers_can_be_read_in_one_request() -> None:
    count = RESULT.count + STATUS.count + ALARMS.count
    reply = Client().ask(ReadHoldingRegistersRequest(address=RESULT.address, count=count))
    assert reply is not None
    assert len(reply.registers) == count


@pytest.mark.parametrize(("address", "count"), [(15, 1), (0, 16), (99, 2), (END, 1), (65535, 1), (128, 125)])
def test_reading_outside_of_the_map_is_exception_2(address: int, count: int) -> None:
    reply = Client().ask(ReadHoldingRegistersRequest(address=address, count=count))
    assert reply is not None
    assert reply.exception_code == 2


@pytest.mark.parametrize("address", [100, 128, END - 1, 14])
def test_writing_what_is_not_the_plcs_is_exception_2(address: int) -> None:
    reply = Client().ask(WriteMultipleRegistersRequest(address=address, registers=[1, 2]))
    assert reply is not None
    assert reply.exception_code == 2


def test_one_register_may_be_written_and_read_back() -> None:
    client = Client()
    assert client.ask(WriteSingleRegisterRequest(address=6, registers=[12])) is not None
    reply = client.ask(ReadHoldingRegistersRequest(address=6, count=1))
    assert reply is not None
    assert list(reply.registers) == [12]


def test_one_write_may_cover_both_blocks_of_the_plc() -> None:
    client = Client()
    assert client.ask(WriteMultipleRegistersRequest(address=0, registers=list(range(1, 14)))) is not None
    reply = client.ask(ReadHoldingRegistersRequest(address=0, count=13))
    assert reply is not None
    assert list(reply.registers) == list(range(1, 14))


def belts(*written: tuple[int, int, int]) -> list[BeltPosition]:
    """Give what the station hears of a PLC that writes heartbeat, belt and arrived, one cycle after the other."""
    station = StationHandshake(Hello(), TIMING, 0.0)
    heard = []
    for enable, (beat, encoder, arrived) in enumerate([(0, 0, 0), (1, 0, 0), *written]):
        control = CONTROL.unpack([0] * CONTROL.count) | {"enable": MAP_VERSION * min(1, enable), "plc_heartbeat": beat}
        heard += station.take({"control": control, "belt": {"belt_encoder": encoder, "arrived": arrived}}, 0.1 * enable)
    return [event for event in heard if isinstance(event, BeltPosition)]


def test_the_station_hears_of_the_belt_with_each_sign_of_life() -> None:
    written = [(1, 0, 0), (2, 70_000, 0), (2, 70_000, 0), (3, 70_000, 0), (3, 70_000, 1)]
    assert belts(*written) == [BeltPosition(70_000), BeltPosition(70_000), BeltPosition(70_000, 1)]


def test_a_plc_that_never_writes_the_belt_says_nothing_of_it() -> None:
    assert belts((1, 0, 0), (2, 0, 0), (3, 0, 0)) == []


@pytest.mark.parametrize(("way", "belt", "heard"), [
    (LinkKind.MODBUS_SERVER, False, True), (LinkKind.MODBUS_CLIENT, True, True), (LinkKind.MODBUS_CLIENT, False, False),
])  # fmt: skip
def test_the_belt_passes_either_way_to_speak(way: LinkKind, belt: bool, heard: bool) -> None:
    station = endpoint(way, Hello(Role.EDGE), 1, 0.0, 115_200, belt=belt)
    plc = endpoint(way, Hello(Role.PLC), 1, 0.0, 115_200)
    events: list[Event] = []
    for step in range(400):
        now = step * 0.005
        if plc.is_open:
            plc.send(BeltPosition(5_000_000, 7), now)
        for end, other in ((station, plc), (plc, station)):
            if data := other.outgoing():
                events += end.receive(data, now)
            events += end.tick(now)
    assert (BeltPosition(5_000_000, 7) in events) is heard
    assert station.is_open


@pytest.mark.parametrize("way", [way for way in LinkKind if not way.is_signals])
def test_the_plc_hears_of_an_alarm_and_of_its_end(way: LinkKind) -> None:
    station = endpoint(way, Hello(Role.EDGE), 1, 0.0, 115_200)
    plc = endpoint(way, Hello(Role.PLC), 2, 0.0, 115_200)
    heard: list[Event] = []
    said: ActiveAlarms | None = None
    for step in range(400):
        now = step * 0.005
        alarms = ActiveAlarms(FaultCode.DRIFT.bit if step < 200 else 0)
        if station.is_open and alarms != said:
            station.send(alarms, now)
            said = alarms
        for end, other in ((station, plc), (plc, station)):
            events = end.receive(other.outgoing(), now) + end.tick(now)
            heard += [event for event in events if isinstance(event, ActiveAlarms)]
    assert heard == [ActiveAlarms(FaultCode.DRIFT.bit), ActiveAlarms(0)]


def test_another_function_is_exception_1() -> None:
    reply = Client().ask(ReadCoilsRequest(address=0, count=1))
    assert reply is not None
    assert reply.exception_code == 1


def test_another_units_request_gets_no_answer() -> None:
    assert Client(unit=2).ask(ReadHoldingRegistersRequest(address=0, count=1)) is None


@pytest.mark.parametrize("piece", [1, 3, 8])
def test_a_request_may_come_in_pieces(piece: int) -> None:
    assert Client().ask(ReadHoldingRegistersRequest(address=0, count=1), piece=piece) is not None


@given(st.binary(max_size=300))
def test_after_a_pause_any_garbage_is_forgotten(garbage: bytes) -> None:
    client = Client()
    client.server.receive(garbage, client.now)
    client.server.tick(client.now + 0.02)
    client.server.outgoing()
    client.now += 0.05
    assert client.ask(ReadHoldingRegistersRequest(address=0, count=1)) is not None


@pytest.mark.parametrize("frame", ["01 03 3c d9 10 b4 a8 17", "01 10 00 00 00 02 03 00 01 00"])
def test_a_request_without_its_checksum_gets_no_answer(frame: str) -> None:
    client = Client()
    client.server.receive(bytes.fromhex(frame), client.now)
    client.server.tick(client.now + 0.02)
    assert client.server.outgoing() == b""


@given(st.binary(min_size=1, max_size=60), st.sampled_from([RegisterServer, RegisterClient]))
def test_whatever_has_a_good_checksum_raises_nothing(body: bytes, kind: type) -> None:
    end = kind(StationHandshake(Hello(), TIMING, 0.0), TIMING, RtuFraming(kind is RegisterServer, 1, 115_200))
    end.tick(0.0)
    frame = b"\x01" + body
    end.receive(frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big"), 0.0)
    end.tick(0.1)


def test_a_server_with_another_map_is_refused() -> None:
    client = RegisterClient(StationHandshake(Hello(), TIMING, 0.0), TIMING, RtuFraming(False, 1, 115_200))
    client.tick(0.0)
    frame = bytes([1, 0x83, 2])
    (refused,) = client.receive(frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big"), 0.01)
    assert isinstance(refused, Refused)
    assert "exception 2" in refused.reason


# Both over wires

PROBABILITY = st.sampled_from([0.0, 0.02, 0.2])
FAULTS = st.builds(
    Faults,
    bit_flip=st.sampled_from([0.0, 1e-5, 1e-4, 1e-3, 1e-2]),
    burst=PROBABILITY,
    drop=PROBABILITY,
    duplicate=PROBABILITY,
    split=PROBABILITY,
    delay=PROBABILITY,
    cut=st.sampled_from([0.0, 0.005]),
)
MODBUS = st.sampled_from([LinkKind.MODBUS_SERVER, LinkKind.MODBUS_CLIENT])


@pytest.mark.parametrize("way", [LinkKind.MODBUS_SERVER, LinkKind.MODBUS_CLIENT])
def test_a_whole_wire_passes_each_good_part(way: LinkKind) -> None:
    line = Rehearsal(Faults(), 1, way, period_s=0.1)
    line.run(1)  # comes before the two have met
    before = replace(line.findings)
    findings = line.run(100)
    assert findings.passed - before.passed == findings.good - before.good


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FAULTS, st.integers(0, 2**32), st.lists(st.sampled_from(list(Role)), max_size=3), MODBUS)
def test_no_part_passes_that_was_not_proved_good(
    faults: Faults, seed: int, restarts: list[Role], way: LinkKind
) -> None:
    line = Rehearsal(faults, seed, way, period_s=0.1)
    line.run(20)
    for role in restarts:
        line.restart(role)
        line.run(10)
    findings = line.findings
    assert (findings.wrongly_passed, findings.misapplied, findings.unnoticed) == (0, 0, 0)
