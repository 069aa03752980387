"""Modbus RTU: the map and its documents, the server's manners, the handshake, and both over faulty wires."""

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

from firmware_bridge import generate
from firmware_bridge.errors import MessageMalformed
from firmware_bridge.events import (
    Acknowledged,
    Event,
    HelloReceived,
    PeerBack,
    PeerLost,
    Refused,
    Undelivered,
)
from firmware_bridge.handshake import BUFFER, PlcHandshake, StationHandshake
from firmware_bridge.messages import (
    Changeover,
    Fault,
    FaultCode,
    Heartbeat,
    Hello,
    Offline,
    Result,
    Role,
    State,
    Trigger,
    Verdict,
)
from firmware_bridge.modbus_map import BLOCKS, CONTROL, RESULT, STATUS, read_result, result_values
from firmware_bridge.rehearsal import Rehearsal
from firmware_bridge.rtu import RtuClient, RtuServer
from firmware_bridge.timing import Timing
from firmware_bridge.wire import Faults
from firmware_bridge.wiring import Way

TIMING = Timing.for_modbus(115_200)
RESULT_OF_7 = Result(7, 7000, Verdict.NG, 2, 0.9871, 431, (120, 40, 33, 18), 8125)


class Pair:
    """Both handshakes, each shown the other's registers by hand; `plc_sees` False leaves the PLC blind."""

    def __init__(self) -> None:
        self.now = 0.0
        self.station = StationHandshake(Hello(bundle_id="12345678" + "0" * 56), TIMING, 0.0)
        self.plc = PlcHandshake(TIMING, 0.0)
        self.at_station: list[Event] = []
        self.at_plc: list[Event] = []
        self.plc_sees = self.station_sees = True

    def cycle(self, times: int = 1, seconds: float = 0.01) -> None:
        """Let each side read the other so often."""
        for _ in range(times):
            self.now += seconds
            self.at_station += self.station.tick(self.now)
            self.at_plc += self.plc.tick(self.now)
            if self.station_sees:
                self.at_station += self.station.take({"control": self.control()}, self.now)
            if self.plc_sees:
                self.at_plc += self.plc.take(self.shown(), self.now)

    def control(self) -> dict[str, int]:
        """What the PLC writes."""
        return CONTROL.unpack(self.plc.image(CONTROL))

    def shown(self) -> dict[str, dict[str, int]]:
        """What the station writes."""
        return {block.name: block.unpack(self.station.image(block)) for block in (RESULT, STATUS)}

    def status_bit(self, place: int) -> int:
        """One bit of the status register."""
        return self.shown()["status"]["status"] >> place & 1


@pytest.fixture
def pair() -> Pair:
    """Both at work, with no events."""
    joined = Pair()
    joined.cycle(5)
    joined.at_station.clear()
    joined.at_plc.clear()
    return joined


# The map


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_block_comes_back_as_it_was(block) -> None:
    values = {one.name: (place * 0x12345 + 1) % 2 ** (16 * one.words) for place, one in enumerate(block.registers)}
    assert block.unpack(block.pack(values)) == values
    assert len(block.pack(values)) == block.count


def test_blocks_do_not_overlap_and_the_stations_lie_side_by_side() -> None:
    assert CONTROL.address + CONTROL.count <= RESULT.address
    assert RESULT.address + RESULT.count == STATUS.address


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


# The handshake


def test_both_sides_come_to_work() -> None:
    pair = Pair()
    pair.cycle(5)
    assert pair.station.is_open
    assert pair.plc.is_open
    assert [type(event) for event in pair.at_station] == [HelloReceived]


def test_a_trigger_becomes_a_result_becomes_an_acknowledgement(pair: Pair) -> None:
    pair.plc.send(Trigger(7, 7000), pair.now)
    pair.cycle(2)
    assert pair.at_station == [Trigger(7, 7000)]
    pair.station.send(RESULT_OF_7, pair.now)
    pair.cycle(3)
    assert pair.at_plc == [RESULT_OF_7]
    assert pair.at_station[1:] == [Acknowledged(RESULT_OF_7)]


def test_the_next_result_is_shown_only_after_the_acknowledgement(pair: Pair) -> None:
    pair.plc_sees = False
    for part in (1, 2):
        pair.station.send(replace(RESULT_OF_7, part_id=part), pair.now)
    pair.cycle(3)
    assert pair.shown()["result"]["part_id"] == 1
    pair.plc_sees = True
    pair.cycle(4)
    assert [event.part_id for event in pair.at_plc if isinstance(event, Result)] == [1, 2]


def test_each_result_toggles_its_bit(pair: Pair) -> None:
    seen = []
    for part in range(4):
        pair.station.send(replace(RESULT_OF_7, part_id=part), pair.now)
        seen.append(pair.status_bit(3))
        pair.cycle(3)
    assert seen in ([0, 1, 0, 1], [1, 0, 1, 0])


def test_a_ninth_waiting_result_is_an_overrun_until_it_is_cleared(pair: Pair) -> None:
    pair.plc_sees = False
    for part in range(BUFFER):
        assert pair.station.send(replace(RESULT_OF_7, part_id=part), pair.now) == []
    assert isinstance(pair.station.send(RESULT_OF_7, pair.now)[0], Undelivered)
    assert pair.status_bit(8) == 1
    assert pair.shown()["status"]["overruns"] == 1
    pair.station.take({"control": pair.control() | {"command": 1}}, pair.now)
    assert pair.status_bit(8) == 0


def test_a_stale_picture_brings_no_result_twice(pair: Pair) -> None:
    """The PLC gets a late reply that shows the result before the last one."""
    pair.station.send(RESULT_OF_7, pair.now)
    pair.cycle(1)
    stale = pair.shown()
    pair.cycle(3)
    pair.station.send(replace(RESULT_OF_7, part_id=8), pair.now)
    pair.cycle(3)
    pair.at_plc.clear()
    pair.at_station.clear()
    pair.at_plc += pair.plc.take(stale, pair.now)
    again = [event for event in pair.at_plc if isinstance(event, Result)]
    assert again in ([], [RESULT_OF_7])  # a PLC knows the part's first answer; the station must not believe the ack
    pair.cycle(1)
    assert pair.at_station == []


@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.NG])
def test_pass_and_reject_have_a_bit_each(pair: Pair, verdict: Verdict) -> None:
    pair.station.send(Result(1, 1, verdict), pair.now)
    assert (pair.status_bit(5), pair.status_bit(6)) == ((1, 0) if verdict is Verdict.OK else (0, 1))


@pytest.mark.parametrize("blind", ["station", "plc"])
def test_silence_is_noticed_and_ends(pair: Pair, blind: str) -> None:
    setattr(pair, f"{blind}_sees", False)
    pair.station.send(RESULT_OF_7, pair.now)
    pair.cycle(150)
    events = pair.at_station if blind == "station" else pair.at_plc
    lost = [event for event in events if isinstance(event, PeerLost)]
    assert [event.silent_s for event in lost] == [pytest.approx(1.0, abs=0.011)]
    setattr(pair, f"{blind}_sees", True)
    pair.cycle(10)
    assert sum(isinstance(event, PeerBack) for event in events) == 1
    assert pair.station.is_open
    assert pair.plc.is_open


def test_a_result_that_nobody_takes_is_given_up(pair: Pair) -> None:
    pair.station.send(RESULT_OF_7, pair.now)
    control = pair.control()
    events: list[Event] = []
    for beat in range(110):
        pair.now += 0.01
        events += pair.station.take({"control": control | {"plc_heartbeat": beat}}, pair.now)
        events += pair.station.tick(pair.now)
    assert events == [Undelivered(RESULT_OF_7, "the PLC does not acknowledge")]
    assert pair.shown()["status"]["state"] == 0


def test_a_restarted_plc_gets_nothing_of_its_former_life(pair: Pair) -> None:
    pair.plc.send(Trigger(7, 7000), pair.now)
    pair.cycle(2)
    pair.plc = PlcHandshake(TIMING, pair.now)
    pair.cycle(5)
    given_up = pair.station.send(RESULT_OF_7, pair.now)
    assert given_up == [Undelivered(RESULT_OF_7, "the PLC has restarted since it triggered this part")]
    assert [event.restarted for event in pair.at_station if isinstance(event, HelloReceived)] == [True]


def test_a_restarted_station_is_noticed_by_the_plc(pair: Pair) -> None:
    pair.plc.send(Trigger(7, 7000), pair.now)
    pair.cycle(2)
    pair.station = StationHandshake(Hello(), TIMING, pair.now)
    pair.at_station.clear()
    pair.cycle(1)
    assert not pair.plc.is_open
    pair.cycle(5)
    assert pair.plc.is_open
    assert [type(event) for event in pair.at_station] == [HelloReceived]


def test_a_damaged_result_is_read_again(pair: Pair) -> None:
    pair.station.send(RESULT_OF_7, pair.now)
    shown = pair.shown()
    shown["result"]["verdict"] ^= 1
    assert pair.plc.take(shown, pair.now) == []
    assert pair.plc.malformed == 1
    pair.cycle(2)
    assert pair.at_plc == [RESULT_OF_7]


def test_nothing_is_taken_from_a_plc_that_has_not_enabled() -> None:
    station = StationHandshake(Hello(), TIMING, 0.0)
    at_once = CONTROL.unpack([0] * CONTROL.count) | {"enable": 1, "trigger_sequence": 5, "part_id": 9}
    assert station.take({"control": at_once}, 0.0) == []
    assert isinstance(station.send(RESULT_OF_7, 0.0)[0], Undelivered)


def test_going_offline_is_shown(pair: Pair) -> None:
    pair.station.send(RESULT_OF_7, pair.now)
    assert isinstance(pair.station.send(Offline("end of shift"), pair.now)[0], Undelivered)
    pair.cycle(5)
    assert pair.status_bit(0) == 0
    assert not pair.plc.is_open


def test_recipes_faults_and_the_bundle_have_registers(pair: Pair) -> None:
    pair.plc.send(Changeover(12), pair.now)
    pair.cycle(2)
    assert pair.at_station == [Changeover(12)]
    pair.station.send(Changeover(12), pair.now)
    pair.station.send(Fault(FaultCode.DISK), pair.now)
    status = pair.shown()["status"]
    assert (status["recipe_active"], status["fault"], status["bundle"]) == (12, FaultCode.DISK, 0x12345678)
    assert pair.status_bit(7) == 1


def test_what_has_no_register_is_undelivered(pair: Pair) -> None:
    beat = Heartbeat(State.RUNNING, 1)
    for side in (pair.station, pair.plc):
        assert isinstance(side.send(beat, pair.now)[0], Undelivered)


def test_a_trigger_that_cannot_be_announced_is_undelivered(pair: Pair) -> None:
    pair.plc.send(Trigger(1, 1), pair.now)
    pair.plc.send(Trigger(2, 2), pair.now)
    pair.station_sees = False
    pair.cycle(120)
    assert [event.message for event in pair.at_plc if isinstance(event, Undelivered)] == [Trigger(2, 2)]


# The server


class Client:
    """Requests to a station's server, byte by byte where told so."""

    def __init__(self, unit: int = 1) -> None:
        self.station = StationHandshake(Hello(), TIMING, 0.0)
        self.server = RtuServer(self.station, TIMING, 1, 115_200)
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
    count = RESULT.count + STATUS.count
    reply = Client().ask(ReadHoldingRegistersRequest(address=RESULT.address, count=count))
    assert reply is not None
    assert len(reply.registers) == count


@pytest.mark.parametrize(("address", "count"), [(10, 1), (0, 11), (99, 2), (129, 1), (65535, 1), (128, 125)])
def test_reading_outside_of_the_map_is_exception_2(address: int, count: int) -> None:
    reply = Client().ask(ReadHoldingRegistersRequest(address=address, count=count))
    assert reply is not None
    assert reply.exception_code == 2


@pytest.mark.parametrize("address", [100, 128, 9])
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


@pytest.mark.parametrize("frame", ["01 02 3c d9 10 b4 a8 16", "01 10 00 00 00 02 03 00 01 00"])
def test_a_good_checksum_over_nonsense_gets_no_answer(frame: str) -> None:
    client = Client()
    client.server.receive(bytes.fromhex(frame), client.now)
    client.server.tick(client.now + 0.02)
    assert client.server.outgoing() == b""


@given(st.binary(min_size=1, max_size=60), st.sampled_from([RtuServer, RtuClient]))
def test_whatever_has_a_good_checksum_raises_nothing(body: bytes, kind: type) -> None:
    end = kind(StationHandshake(Hello(), TIMING, 0.0), TIMING, 1, 115_200)
    end.tick(0.0)
    frame = b"\x01" + body
    end.receive(frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big"), 0.0)
    end.tick(0.1)


def test_a_server_with_another_map_is_refused() -> None:
    client = RtuClient(StationHandshake(Hello(), TIMING, 0.0), TIMING, 1, 115_200)
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
MODBUS = st.sampled_from([Way.MODBUS_SERVER, Way.MODBUS_CLIENT])


@pytest.mark.parametrize("way", [Way.MODBUS_SERVER, Way.MODBUS_CLIENT])
def test_a_whole_wire_passes_each_good_part(way: Way) -> None:
    line = Rehearsal(Faults(), 1, way, period_s=0.1)
    line.run(1)  # comes before the two have met
    before = replace(line.findings)
    findings = line.run(100)
    assert findings.passed - before.passed == findings.good - before.good


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FAULTS, st.integers(0, 2**32), st.lists(st.sampled_from(list(Role)), max_size=3), MODBUS)
def test_no_part_passes_that_was_not_proved_good(faults: Faults, seed: int, restarts: list[Role], way: Way) -> None:
    line = Rehearsal(faults, seed, way, period_s=0.1)
    line.run(20)
    for role in restarts:
        line.restart(role)
        line.run(10)
    findings = line.findings
    assert (findings.wrongly_passed, findings.misapplied, findings.unnoticed) == (0, 0, 0)
