"""The Modbus handshake: both sides shown each other's registers, in time that the test passes in."""

from dataclasses import replace

import pytest

from firmware_bridge.events import (
    Acknowledged,
    Event,
    HelloReceived,
    PeerBack,
    PeerLost,
    Refused,
    Undelivered,
)
from firmware_bridge.messages import (
    Changeover,
    Fault,
    FaultCode,
    Heartbeat,
    Hello,
    Offline,
    Result,
    State,
    Trigger,
    Verdict,
)
from firmware_bridge.modbus.plc_handshake import PlcHandshake
from firmware_bridge.modbus.register_map import CONTROL, MAP_VERSION, RESULT, STATUS
from firmware_bridge.modbus.station_handshake import BUFFER, StationHandshake
from firmware_bridge.timing import Timing

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
        """Registers that the PLC writes."""
        return CONTROL.unpack(self.plc.image(CONTROL))

    def shown(self) -> dict[str, dict[str, int]]:
        """Registers that the station writes, by block."""
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


def test_both_sides_come_to_work() -> None:
    pair = Pair()
    pair.cycle(5)
    assert pair.station.is_open
    assert pair.plc.is_open
    assert [type(event) for event in pair.at_station] == [HelloReceived]


def test_a_trigger_becomes_a_result_becomes_an_acknowledgement(pair: Pair) -> None:
    pair.plc.send(Trigger(7, 7000), pair.now)
    pair.cycle(2)
    assert [(event.part_id, event.encoder) for event in pair.at_station if isinstance(event, Trigger)] == [(7, 7000)]
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


def test_a_result_that_is_not_taken_is_given_up(pair: Pair) -> None:
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
    at_once = CONTROL.unpack([0] * CONTROL.count) | {"enable": MAP_VERSION, "trigger_sequence": 5, "part_id": 9}
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
    pair.station.send(Changeover(12, "12345678" + "0" * 56), pair.now)
    pair.station.send(Fault(FaultCode.DISK), pair.now)
    status = pair.shown()["status"]
    assert (status["recipe_active"], status["fault"], status["bundle_active"]) == (12, FaultCode.DISK, 0x12345678)
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


def control(**values: int) -> dict[str, dict[str, int]]:
    """Make what a PLC writes."""
    blank = CONTROL.unpack([0] * CONTROL.count)
    return {"control": blank | {"enable": MAP_VERSION} | values}


@pytest.fixture
def station() -> StationHandshake:
    """A station at work."""
    made = StationHandshake(Hello(), TIMING, 0.0)
    made.take(control(enable=0), 0.0)
    made.take(control(), 0.0)
    assert made.is_open
    return made


def test_the_recipe_of_a_write_comes_before_its_trigger(station: StationHandshake) -> None:
    events = station.take(control(recipe=12, part_id=7, encoder=70, trigger_sequence=1), 0.1)
    assert events == [Changeover(12), Trigger(7, 70, recipe=12)]


def test_no_wanted_recipe_is_no_changeover(station: StationHandshake) -> None:
    station.take(control(recipe=12), 0.1)
    assert station.take(control(recipe=0), 0.2) == []
    assert station.take(control(recipe=12), 0.3) == [Changeover(12)]


@pytest.mark.parametrize(
    ("age_ms", "flags", "age_s"), [(0, 0, 0.0), (700, 0, 0.7), (65535, 0, 65.535), (65535, 1, None), (0, 1, None)]
)
def test_the_age_of_a_trigger_has_registers(
    station: StationHandshake, age_ms: int, flags: int, age_s: float | None
) -> None:
    (trigger,) = station.take(control(part_id=7, trigger_sequence=1, age_ms=age_ms, trigger_flags=flags), 0.1)
    assert isinstance(trigger, Trigger)
    assert trigger.age_s == age_s


def test_a_trigger_that_is_taken_late_says_its_age(pair: Pair) -> None:
    pair.plc.send(Trigger(1, 1), pair.now)
    pair.station_sees = False
    pair.cycle(30)
    pair.station_sees = True
    pair.cycle(1)
    (trigger,) = (event for event in pair.at_station if isinstance(event, Trigger))
    assert trigger.age_ms == pytest.approx(300, abs=15)


@pytest.mark.parametrize("enable", [1, 2, MAP_VERSION + 1])
def test_a_plc_with_another_register_map_is_refused_once(enable: int) -> None:
    station = StationHandshake(Hello(), TIMING, 0.0)
    station.take(control(enable=0), 0.0)
    events = station.take(control(enable=enable), 0.1) + station.take(control(enable=enable, trigger_sequence=1), 0.2)
    assert [type(event) for event in events] == [Refused]
    assert f"writes {enable} to enable, expected {MAP_VERSION}" in events[0].reason
    assert not station.is_open


def test_shadow_mode_has_a_bit() -> None:
    for shadow in (False, True):
        station = StationHandshake(Hello(), TIMING, 0.0, shadow=shadow)
        status = STATUS.unpack(station.image(STATUS))["status"]
        assert bool(status >> 9 & 1) is shadow


def test_a_fault_of_the_time_before_the_plc_was_there_is_not_held() -> None:
    station = StationHandshake(Hello(), TIMING, 0.0)
    station.send(Fault(FaultCode.LINK), 0.0)
    station.take(control(enable=0), 0.1)
    station.take(control(), 0.2)
    assert STATUS.unpack(station.image(STATUS))["fault"] == 0
