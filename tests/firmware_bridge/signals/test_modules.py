"""The 24 V handshake through a Modbus input/output module: pymodbus's own server, and simulated faults."""

import time
from collections.abc import Iterator

import pytest

from firmware_bridge.errors import AddressInvalid
from firmware_bridge.events import Acknowledged, Event, HelloReceived, PeerBack, PeerLost, Refused, Undelivered
from firmware_bridge.link import open_link
from firmware_bridge.messages import Hello, Result, Trigger, Verdict
from firmware_bridge.modbus.framing import TcpFraming
from firmware_bridge.modbus.pdu import answer_read_bits, read_bits_reply, read_bits_request, written_bits
from firmware_bridge.signals.ends import COILS, ModuleClient, ModuleServer
from firmware_bridge.signals.plc_signals import PlcSignals
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import SignalTimes, Terminal
from firmware_bridge.timing import Timing
from tests.firmware_bridge.signals.pymodbus_module import PymodbusModule

PATIENCE_S = 20.0


@pytest.fixture
def module() -> Iterator[PymodbusModule]:
    """A module of pymodbus's, with a PLC at its terminals."""
    running = PymodbusModule(give_up_s=PATIENCE_S)
    yield running
    running.close()


def test_parts_pass_through_the_module_of_another_maker(module: PymodbusModule) -> None:
    link = open_link(module.address, Hello())
    verdicts = [Verdict.OK, Verdict.NG, Verdict.OK]
    events: list[Event] = []
    end = time.monotonic() + PATIENCE_S
    acknowledged = triggered = 0
    module.part(0)
    while acknowledged < len(verdicts) and time.monotonic() < end:
        for event in link.poll(0.02):
            events.append(event)
            if isinstance(event, Trigger):
                link.send(Result(event.part_id, event.encoder, verdicts[triggered]))
                triggered += 1
            elif isinstance(event, Acknowledged):
                acknowledged += 1
                module.part(acknowledged)
    link.close()

    assert module.results == [Result(number, 70, verdict) for number, verdict in enumerate(verdicts)]
    assert sum(isinstance(event, HelloReceived) for event in events) == 1


@pytest.mark.parametrize(("wrong", "named"), [("input=40", "input 40"), ("coil=30", "coils 30 to 35")])
def test_a_terminal_that_the_module_lacks_is_named(module: PymodbusModule, wrong: str, named: str) -> None:
    name = wrong.partition("=")[0]
    right = "input=3" if name == "input" else "coil=16"
    link = open_link(module.address.replace(right, wrong), Hello())
    found: list[Event] = []
    end = time.monotonic() + PATIENCE_S
    while not any(isinstance(event, Refused) for event in found) and time.monotonic() < end:
        found += link.poll(0.02)
    link.close()

    (refused,) = [event for event in found if isinstance(event, Refused)]
    assert named in refused.reason


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("io-modbus-tcp://10.0.0.1", "expected host and port"),
        ("io-modbus-tcp://10.0.0.1:502?coil=65535", "expected a whole number from 0 to 65529"),
        ("io-modbus-rtu:///dev/ttyUSB0?role=server", "option 'role'"),
        ("io-modbus-rtu:///dev/ttyUSB0?settle_ms=0", "settle_ms=0, expected a whole number from 1 to 10000"),
        ("io-modbus-tcp://10.0.0.1:502?mode=edge", "expected one of held, pulse"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, reason: str) -> None:
    with pytest.raises(AddressInvalid, match=reason):
        open_link(address, Hello())


class Wire:
    """A station and a simulated module with its PLC on a wire that can be cut, in time that is passed in."""

    def __init__(self) -> None:
        self.now, self.cut = 0.0, False
        self.start_module()
        times = SignalTimes()
        self.station = ModuleClient(StationSignals(times, 0.0), times, Timing(retry_s=0.1), TcpFraming(False, 1), 0, 0)
        self.events: list[Event] = []
        self.results: list[Event] = []
        self.inspecting = True

    def start_module(self) -> None:
        """Switch the module on, with its PLC."""
        self.module = ModuleServer(PlcSignals(0.5), SignalTimes(), Timing(), TcpFraming(True, 1))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.001
            self.hear(self.station.tick(self.now))
            request = self.station.outgoing()
            found = self.module.receive(request, self.now) if request and not self.cut else []
            self.results += [event for event in found + self.module.tick(self.now) if isinstance(event, Result)]
            reply = self.module.outgoing()
            if reply and not self.cut:
                self.hear(self.station.receive(reply, self.now))

    def hear(self, events: list[Event]) -> None:
        """Answer each part with OK."""
        self.events += events
        for event in events:
            if isinstance(event, Trigger) and self.inspecting:
                self.events += self.station.send(Result(event.part_id, event.encoder, Verdict.OK), self.now)

    def part(self, part_id: int) -> None:
        """Let a part come to the sensor."""
        self.module.send(Trigger(part_id, 7), self.now)

    def found(self, kind: type) -> list[Event]:
        """Give the station's events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


def test_a_cable_that_is_cut_rejects_the_part_and_joined_again_the_next_one_passes() -> None:
    wire = Wire()
    wire.inspecting = False
    wire.part(1)
    wire.run(0.1)
    (trigger,) = wire.found(Trigger)
    wire.cut = True
    wire.run(1.5)
    wire.hear(wire.station.send(Result(trigger.part_id, 0, Verdict.OK), wire.now))
    wire.cut, wire.inspecting = False, True
    wire.run(1.0)
    assert wire.results == []
    assert (len(wire.found(PeerLost)), len(wire.found(PeerBack)), len(wire.found(Undelivered))) == (1, 1, 1)

    wire.part(2)
    wire.run(0.2)
    assert wire.results == [Result(2, 7, Verdict.OK)]


def test_a_module_that_was_switched_off_gets_its_levels_again() -> None:
    wire = Wire()
    wire.run(0.2)
    wire.start_module()
    wire.run(0.3)
    wire.part(3)
    wire.run(0.2)

    assert wire.results == [Result(3, 7, Verdict.OK)]


def test_the_watchdog_of_a_module_drops_every_output() -> None:
    wire = Wire()
    wire.run(0.2)
    plc = wire.module.signals
    assert plc.is_open
    wire.cut = True
    wire.run(1.5)

    assert not plc.is_open


def test_a_change_of_level_does_not_wait_for_the_next_poll() -> None:
    times = SignalTimes(poll_s=1.0, debounce_s=0.0)
    station = ModuleClient(StationSignals(times, 0.0), times, Timing(), TcpFraming(False, 1), 0, 0)
    module = ModuleServer(PlcSignals(0.5), times, Timing(), TcpFraming(True, 1))
    for _ in range(6):  # a request and its reply each, without any time between them
        station.tick(0.0)
        module.receive(station.outgoing(), 0.0)
        station.receive(module.outgoing(), 0.0)

    assert module.signals.is_open


def test_requests_that_a_module_does_not_take_are_refused() -> None:
    assert answer_read_bits(read_bits_request(7, 2), 0xFF) == bytes([0x82, 2])
    assert answer_read_bits(read_bits_request(0, 0), 0xFF) == bytes([0x82, 2])
    assert answer_read_bits(bytes([2, 0]), 0xFF) == bytes([0x82, 3])
    assert answer_read_bits(bytes([43, 14, 1, 0]), 0xFF) == bytes([0xAB, 1])
    assert read_bits_reply(bytes([2, 1, 0xFF]), 1) == 1
    assert read_bits_reply(bytes([2, 2, 0, 0]), 1) is None
    assert written_bits(bytes([15, 0, 0, 0, 6, 1, 0xFF]), COILS) == sum(Terminal)
    assert written_bits(bytes([15, 0, 1, 0, 6, 1, 0xFF]), COILS) is None
