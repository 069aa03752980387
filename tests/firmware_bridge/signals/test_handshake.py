"""The 24 V handshake of station and PLC over wires that can be cut, in time that is passed in."""

from collections.abc import Callable

import pytest

from firmware_bridge.events import Acknowledged, Event, LineCleared, LineDisturbed, LineTrouble, Undelivered
from firmware_bridge.messages import ActiveAlarms, FaultCode, Offline, Result, Trigger, Verdict
from firmware_bridge.signals.plc_signals import PlcSignals
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import TRIGGER, SignalTimes, Terminal

STEP_S = 0.001
INSPECTION_S = 0.02
GIVE_UP_S = 0.1
OK_AT_STROBE = Terminal.BUSY | Terminal.OK | Terminal.STROBE | Terminal.ERROR


class Wires:
    """A station and a PLC on seven wires, stepped by the millisecond; every part is `verdict`."""

    def __init__(self, times: SignalTimes | None = None, verdict: Verdict = Verdict.OK) -> None:
        self.now, self.verdict = 0.0, verdict
        self.station = StationSignals(times or SignalTimes(), 0.0)
        self.plc = PlcSignals(GIVE_UP_S)
        self.cut, self.stuck = Terminal(0), Terminal(0)  # outputs without a level, and with 24 V for ever
        self.trigger_cut = False
        self.trigger: Callable[[], int] = lambda: self.plc.levels
        self.events: list[Event] = []  # of the station
        self.results: list[Result] = []  # at the PLC
        self.trace: list[tuple[float, int]] = []
        self.inspected: list[tuple[float, Result]] = []
        self.inspection_s = INSPECTION_S

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            level = 0 if self.trigger_cut else self.trigger()
            self.hear(self.station.sample(level, self.now) + self.station.tick(self.now))
            while self.inspected and self.inspected[0][0] <= self.now:
                self.hear(self.station.send(self.inspected.pop(0)[1], self.now))
            levels = self.station.levels
            self.station.shown(levels, self.now)
            self.trace.append((self.now, levels))
            found = self.plc.sample(levels & ~self.cut | self.stuck, self.now) + self.plc.tick(self.now)
            self.results += [event for event in found if isinstance(event, Result)]

    def hear(self, events: list[Event]) -> None:
        """Inspect each part that is triggered."""
        self.events += events
        for event in events:
            if isinstance(event, Trigger):
                result = Result(event.part_id, event.encoder, self.verdict)
                self.inspected.append((self.now + self.inspection_s, result))

    def part(self, part_id: int, encoder: int = 70) -> None:
        """Let a part come to the PLC's sensor."""
        self.plc.send(Trigger(part_id, encoder), self.now)

    def pulse(self, *at_s: float, width_s: float = 0.01) -> None:
        """Trigger by pulses that begin at these times, from now on."""
        starts = [self.now + at for at in at_s]
        self.trigger = lambda: TRIGGER if any(start < self.now <= start + width_s for start in starts) else 0

    def found(self, kind: type) -> list[Event]:
        """Give the station's events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def strobes(self) -> list[int]:
        """Give the levels at each rise of STROBE."""
        before, rises = 0, []
        for _, levels in self.trace:
            rises += [levels] if levels & ~before & Terminal.STROBE else []
            before = levels
        return rises


def pulsed(verdict: Verdict = Verdict.OK) -> Wires:
    """Wires for a pulse trigger."""
    wires = Wires(SignalTimes(held=False), verdict)
    wires.run(0.02)
    return wires


@pytest.mark.parametrize("verdict", [*Verdict])
def test_a_part_passes_by_ok_alone(verdict: Verdict) -> None:
    wires = Wires(verdict=verdict)
    for number in (5, 6):
        wires.part(number)
        wires.run(0.1)

    said = Verdict.OK if verdict is Verdict.OK else Verdict.NG
    assert wires.results == [Result(5, 70, said), Result(6, 70, said)]
    assert [event.message.part_id for event in wires.found(Acknowledged)] == [1, 2]
    assert [trigger.part_id for trigger in wires.found(Trigger)] == [1, 2]


def test_ok_and_ng_stand_before_and_after_the_strobe() -> None:
    wires = Wires()
    wires.part(5)
    wires.run(0.1)
    of = {
        name: [at for at, levels in wires.trace if levels & terminal] for name, terminal in Terminal.__members__.items()
    }

    settle_s = SignalTimes().settle_s
    assert of["STROBE"][0] - of["OK"][0] == pytest.approx(settle_s, abs=STEP_S)
    assert of["OK"][-1] - of["STROBE"][-1] == pytest.approx(settle_s, abs=STEP_S)
    assert of["NG"] == []
    assert not set(of["READY"]) & set(of["BUSY"])


@pytest.mark.parametrize("terminal", [*Terminal], ids=lambda terminal: terminal.name)
@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.NG])
def test_a_cut_wire_passes_no_part_but_a_good_one(terminal: Terminal, verdict: Verdict) -> None:
    wires = Wires(verdict=verdict)
    wires.cut = terminal
    for number in range(5, 10):
        wires.part(number)
        wires.run(0.15)

    passed = [result for result in wires.results if result.verdict is Verdict.OK]
    harmless = terminal in (Terminal.NG, Terminal.ERROR)
    assert len(passed) == (5 if verdict is Verdict.OK and harmless else 0)


def test_a_cut_trigger_wire_passes_no_part() -> None:
    wires = Wires()
    wires.trigger_cut = True
    wires.part(5)
    wires.run(0.2)

    assert wires.results == wires.found(Trigger) == []


@pytest.mark.parametrize("terminal", [*Terminal], ids=lambda terminal: terminal.name)
def test_a_wire_with_24_volts_for_ever_passes_no_bad_part(terminal: Terminal) -> None:
    wires = Wires(verdict=Verdict.NG)
    wires.stuck = terminal
    for number in range(5, 10):
        wires.part(number)
        wires.run(0.15)

    assert all(result.verdict is Verdict.NG for result in wires.results)


def test_a_wire_that_is_cut_while_the_part_is_inspected_rejects_it() -> None:
    wires = Wires()
    wires.part(5)
    wires.run(0.015)
    assert wires.station.levels & Terminal.BUSY
    wires.trigger_cut = True
    wires.run(0.2)

    assert wires.results == []
    (undelivered,) = wires.found(Undelivered)
    assert undelivered.reason == "its part is not the one in flight: overrun, taken back, or off line"


def test_a_late_result_is_never_shown() -> None:
    wires = Wires()
    wires.inspection_s = GIVE_UP_S + 0.05
    wires.part(5)
    wires.run(0.13)
    wires.inspection_s = 0.05
    wires.verdict = Verdict.NG
    wires.part(6)  # the OK for the part before comes while this one is inspected
    wires.run(0.1)

    assert wires.results == [Result(6, 70, Verdict.NG)]
    assert len(wires.strobes()) == 1


def test_a_trigger_that_is_taken_back_while_ok_stands_is_not_strobed() -> None:
    wires = Wires(SignalTimes(settle_s=0.05))
    wires.trigger = lambda: TRIGGER if 0.01 < wires.now < 0.05 else 0
    wires.run(0.2)

    assert wires.strobes() == []
    (undelivered,) = wires.found(Undelivered)
    assert undelivered.reason == "the PLC took TRIGGER back before the result"


def test_a_bounce_is_no_trigger_and_no_end_of_one() -> None:
    wires = Wires()
    wires.run(0.01)
    bounces = {0.020, 0.021, 0.023, 0.031, 0.033}
    wires.trigger = lambda: TRIGGER if round(wires.now, 3) in bounces else 0
    wires.run(0.1)
    assert wires.found(Trigger) == []

    holes = {0.140, 0.150, 0.155}
    wires.trigger = lambda: TRIGGER if 0.13 < wires.now < 0.2 and round(wires.now, 3) not in holes else 0
    wires.inspection_s = 0.04
    wires.run(0.15)
    assert len(wires.found(Trigger)) == len(wires.found(Acknowledged)) == 1


def test_the_age_of_a_trigger_is_not_smaller_than_the_time_since_the_last_sample_without_it() -> None:
    station = StationSignals(SignalTimes(), 0.0)
    for at in (0.0, 0.01):
        station.sample(0, at)
        station.shown(station.levels, at)
    station.sample(TRIGGER, 0.06)  # the thread was held up for 50 ms
    (trigger,) = station.sample(TRIGGER, 0.063)

    assert isinstance(trigger, Trigger)
    assert trigger.age_ms == 53


def test_a_level_that_is_on_at_the_start_is_no_trigger() -> None:
    wires = Wires()
    wires.trigger = lambda: TRIGGER
    wires.run(0.1)

    assert wires.found(Trigger) == []
    assert not wires.station.levels & Terminal.READY


def test_a_pulse_gets_a_strobe_of_its_length() -> None:
    wires = pulsed()
    wires.pulse(0.01)
    wires.run(0.2)
    strobe = [at for at, levels in wires.trace if levels & Terminal.STROBE]

    assert wires.strobes() == [OK_AT_STROBE]
    assert strobe[-1] - strobe[0] == pytest.approx(SignalTimes().strobe_s, abs=2 * STEP_S)
    assert len(wires.found(Acknowledged)) == 1


@pytest.mark.parametrize("second_s", [0.025, 0.034, 0.036])
def test_a_trigger_while_busy_rejects_both_parts_and_says_so(second_s: float) -> None:
    wires = pulsed()  # inspected from 13 to 33 ms, strobed from 38 ms on
    wires.pulse(0.01, second_s, width_s=0.004)
    wires.run(0.2)

    assert [trigger.part_id for trigger in wires.found(Trigger)] == [1, 2]
    assert all(levels & Terminal.NG and not levels & Terminal.OK for levels in wires.strobes())
    assert sorted(event.message.part_id for event in wires.found(Undelivered)) == [1, 2]
    assert [event.trouble for event in wires.found(LineDisturbed)] == [LineTrouble.OVERRUN]


def test_an_overrun_after_the_strobe_rejects_the_second_part_only() -> None:
    wires = pulsed()
    wires.pulse(0.01, 0.06)
    wires.run(0.2)

    assert wires.strobes() == [OK_AT_STROBE]
    assert [event.message.part_id for event in wires.found(Acknowledged)] == [1]
    assert [event.message.part_id for event in wires.found(Undelivered)] == [2]


def test_the_alarm_about_an_overrun_ends_by_itself() -> None:
    wires = pulsed()
    wires.pulse(0.01, 0.025)
    wires.run(6.0)

    assert wires.found(LineCleared) == [LineCleared(LineTrouble.OVERRUN)]
    assert wires.station.levels == Terminal.READY | Terminal.ERROR


def test_a_trigger_that_stays_on_is_said_and_not_taken_again() -> None:
    wires = Wires()
    wires.run(0.01)
    wires.trigger = lambda: TRIGGER
    wires.run(3.0)

    (undelivered,) = wires.found(Undelivered)
    assert undelivered.reason == "the PLC did not take the result in time"
    assert [event.trouble for event in wires.found(LineDisturbed)] == [LineTrouble.TRIGGER_STUCK]
    assert len(wires.found(Trigger)) == 1
    assert wires.station.levels == Terminal.ERROR  # no READY


@pytest.mark.parametrize(("active", "error"), [(0, False), (FaultCode.CAMERA.bit, True), (FaultCode.DRIFT.bit, False)])
def test_error_is_off_while_there_is_an_alarm_that_rejects(active: int, error: bool) -> None:
    station = StationSignals(SignalTimes(), 0.0)
    station.send(ActiveAlarms(active), 0.0)
    assert bool(station.levels & Terminal.ERROR) is not error


def test_a_station_off_line_shows_nothing_at_all() -> None:
    wires = Wires()
    wires.part(5)
    wires.run(0.015)
    wires.hear(wires.station.send(Offline("stopped"), wires.now))
    wires.run(0.2)
    wires.part(6)
    wires.run(0.2)

    assert (wires.station.levels, wires.results, len(wires.found(Trigger))) == (0, [], 1)


def test_a_device_that_is_lost_starts_over_and_gives_its_part_up() -> None:
    wires = Wires()
    wires.part(5)
    wires.run(0.026)
    assert wires.station.levels & Terminal.OK
    wires.hear(wires.station.lose(wires.now))

    assert [event.reason for event in wires.found(Undelivered)] == ["the input/output device was lost"]
    assert wires.station.levels == Terminal.ERROR
    wires.run(0.2)
    wires.part(6)
    wires.run(0.1)
    assert wires.results == [Result(6, 70, Verdict.OK)]


def test_a_trigger_that_was_never_sampled_is_not_called_stuck() -> None:
    station = StationSignals(SignalTimes(), 0.0)
    assert station.tick(5.0) == []
    station.lose(5.0)
    assert station.tick(10.0) == []
