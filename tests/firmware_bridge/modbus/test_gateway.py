"""A fieldbus gateway in front of the Modbus TCP server: blocks of words, read and written whole in each cycle."""

import threading
from collections.abc import Callable, Iterator

import pytest
from pymodbus.client import ModbusTcpClient

from firmware_bridge.events import Event
from firmware_bridge.link import SerialLink, open_link
from firmware_bridge.messages import Hello, Result, Trigger, Verdict
from firmware_bridge.modbus.register_map import BELT, CONTROL, MAP_VERSION, RESULT, STATUS, read_result, written_by
from firmware_bridge.tcp_port import TcpServerPort

CYCLES = 2_000
"""A bound, not a wait: the station answers within some cycles."""


class Gateway:
    """The Modbus side of a gateway: it copies the fieldbus's output words to the station and its input words back.

    It knows nothing of the map but two ranges, and writes all words in each cycle, changed or not.
    """

    def __init__(self, port: int) -> None:
        self._client = ModbusTcpClient("127.0.0.1", port=port, timeout=10)
        assert self._client.connect()
        self.outputs = [0] * len(written_by("PLC"))
        self.inputs = [0] * len(written_by("station"))

    def cycle(self) -> None:
        assert not self._client.write_registers(written_by("PLC").start, self.outputs).isError()
        self.inputs = self._client.read_holding_registers(written_by("station").start, count=len(self.inputs)).registers

    def close(self) -> None:
        self._client.close()


class FieldbusPlc:
    """A PLC behind the gateway, with the handshake of MODBUS.md in words."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._control = gateway, dict.fromkeys((one.name for one in CONTROL.registers), 0)

    @property
    def status(self) -> dict[str, int]:
        return STATUS.unpack(self._gateway.inputs[RESULT.count : RESULT.count + STATUS.count])

    @property
    def result(self) -> Result:
        return read_result(RESULT.unpack(self._gateway.inputs[: RESULT.count]))

    def run(self, done: Callable[[], bool], **changes: int) -> None:
        """Change the control block in one cycle, then go on until `done`."""
        self._control |= changes
        for _ in range(CYCLES):
            self._control["plc_heartbeat"] = self._control["plc_heartbeat"] % 0xFFFF + 1
            self._gateway.outputs = CONTROL.pack(self._control) + [0] * BELT.count
            self._gateway.cycle()
            if done():
                return
        pytest.fail(f"not within {CYCLES} cycles: {self.status}")

    def enable(self) -> None:
        self.run(lambda: self.status["state"] == 1, enable=0)
        self.run(lambda: self.status["state"] == 2, enable=MAP_VERSION)

    def inspect(self, part_id: int, encoder: int) -> Result:
        sequence = self._control["trigger_sequence"] % 0xFFFF + 1
        acknowledged = self._control["ack_sequence"]
        self.run(
            lambda: self.status["trigger_echo"] == sequence,
            part_id=part_id, encoder=encoder, trigger_sequence=sequence,
        )  # fmt: skip
        self.run(lambda: self.status["result_sequence"] != acknowledged)
        self._control["ack_sequence"] = self.status["result_sequence"]
        return self.result


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway to a station that calls each part with an even id good."""
    link = open_link("modbus-tcp://127.0.0.1:0", Hello())
    assert isinstance(link, SerialLink)
    assert isinstance(link._port, TcpServerPort)
    stop = threading.Event()

    def answer(event: Event) -> None:
        if isinstance(event, Trigger):
            verdict = Verdict.NG if event.part_id % 2 else Verdict.OK
            link.send(Result(event.part_id, event.encoder, verdict))

    def serve() -> None:
        while not stop.is_set():
            for event in link.poll(0.01):
                answer(event)

    thread = threading.Thread(target=serve)
    thread.start()
    opened = Gateway(link._port.port)
    yield opened
    opened.close()
    stop.set()
    thread.join()
    link.close()


def test_parts_pass_and_are_rejected_through_a_gateway(gateway: Gateway) -> None:
    plc = FieldbusPlc(gateway)
    plc.enable()
    for part_id in range(0xFFFF_FFF0, 0xFFFF_FFFA):  # both words of an id are in use
        result = plc.inspect(part_id, part_id // 2)
        expected = Verdict.NG if part_id % 2 else Verdict.OK
        assert (result.part_id, result.encoder, result.verdict) == (part_id, part_id // 2, expected)


def test_a_gateway_that_sets_its_words_to_zero_takes_the_station_out_of_work(gateway: Gateway) -> None:
    plc = FieldbusPlc(gateway)
    plc.enable()
    gateway.outputs = [0] * len(gateway.outputs)
    gateway.cycle()
    for _ in range(CYCLES):
        if plc.status["state"] != 2:
            break
        gateway.cycle()
    assert plc.status["state"] == 1
    plc.enable()
    assert plc.inspect(2, 20).verdict is Verdict.OK
