"""The Structured Text example of the 24 V handshake: no bad part passes on a simulated line that it controls."""

import pytest

from firmware_bridge.events import Event
from firmware_bridge.generate.__main__ import HERE
from firmware_bridge.messages import Offline, Result, Trigger, Verdict
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import TRIGGER, SignalTimes, Terminal
from tests.firmware_bridge.plc_line import COUNTS_PER_MS, INSPECTION_MS, SCAN_MS, PlcLine, check_grammar

TEXT = (HERE / "plc_example_24v.st").read_text(encoding="utf-8")
NAMES = {"ready": Terminal.READY, "busy": Terminal.BUSY, "ok": Terminal.OK, "ng": Terminal.NG}
NAMES |= {"strobe": Terminal.STROBE, "noError": Terminal.ERROR}


class SignalLine(PlcLine):
    """A belt with sensor, camera, station and ejector; the station steps each millisecond, the PLC each scan."""

    def __init__(self, seed: int, encoder: int = 0) -> None:
        super().__init__(TEXT, seed, encoder)
        self.inspection_ms = INSPECTION_MS
        self.start_station()
        self.cut, self.stuck, self.trigger_cut = Terminal(0), Terminal(0), False
        self.events: list[Event] = []

    def start_station(self) -> None:
        """Start the station, which knows nothing of its life before."""
        self.station = StationSignals(SignalTimes(), self.now_ms / 1000)
        self.results = []

    def run(self, milliseconds: int) -> None:
        """Let time pass."""
        for _ in range(milliseconds):
            self.now_ms += 1
            self.belt += COUNTS_PER_MS
            self.step_station()
            if self.now_ms % SCAN_MS == 0:
                self.scan()

    def step_station(self) -> None:
        """One millisecond of the station."""
        now = self.now_ms / 1000
        level = TRIGGER if self.block.scope["trigger"] and not self.trigger_cut else 0
        events = self.station.sample(level, now) + self.station.tick(now)
        while self.results and self.results[0][0] <= self.now_ms:
            events += self.station.send(self.results.pop(0)[1], now)
        self.station.shown(self.station.levels, now)
        self.events += events
        for event in events:
            if isinstance(event, Trigger):  # the picture shows the part that came last
                verdict = Verdict.NG if self.parts[-1][1] else Verdict.OK
                self.results.append((self.now_ms + self.inspection_ms, Result(event.part_id, 0, verdict)))

    def scan(self) -> None:
        """One scan of the PLC."""
        arrives = self.part_arrives()
        levels = self.station.levels & ~self.cut | self.stuck
        self.block.call(
            part=arrives,
            encoder=self.belt % 2**32,
            nowMs=self.plc_ms(),
            **{name: bool(levels & terminal) for name, terminal in NAMES.items()},
        )
        self.at_the_ejector()


@pytest.fixture
def line() -> SignalLine:
    """A line at work; counts and milliseconds roll over within the next seconds."""
    running = SignalLine(seed=1, encoder=2**32 - 20_000)
    running.run(3_000)
    assert running.block.scope["healthy"]
    return running


def test_an_independent_grammar_of_the_language_takes_the_text() -> None:
    check_grammar(TEXT)


def test_bad_parts_are_thrown_out_and_good_ones_pass(line: SignalLine) -> None:
    first = line.at_ejector
    line.run(10_000)
    assert line.bad_that_passed() == line.good_thrown_out_since(first) == []
    assert len(line.passed) > 12
    assert line.block.scope["missed"] == 0


@pytest.mark.parametrize("terminal", [*Terminal, None], ids=lambda one: one.name if one else "TRIGGER")
def test_a_cut_wire_passes_no_bad_part_and_joined_again_good_ones_pass(
    line: SignalLine, terminal: Terminal | None
) -> None:
    line.trigger_cut = terminal is None
    line.cut = terminal or Terminal(0)
    first = len(line.parts)
    line.run(4_000)
    passed = [part for part in line.passed if part >= first]
    assert bool(passed) is (terminal in (Terminal.NG, Terminal.ERROR))
    line.trigger_cut, line.cut = False, Terminal(0)
    line.run(1_000)
    first = len(line.parts)
    line.run(4_000)
    assert line.bad_that_passed() == line.good_thrown_out_since(first) == []


@pytest.mark.parametrize("terminal", [*Terminal], ids=lambda one: one.name)
def test_a_wire_with_24_volts_for_ever_passes_no_bad_part(line: SignalLine, terminal: Terminal) -> None:
    line.stuck = terminal
    line.run(5_000)
    assert line.bad_that_passed() == []
    assert line.block.scope["fault"] is (terminal in (Terminal.OK, Terminal.NG, Terminal.STROBE))


@pytest.mark.parametrize("inspection_ms", [280, 290, 300, 310, 400, 700])
def test_a_late_result_passes_no_bad_part(line: SignalLine, inspection_ms: int) -> None:
    line.inspection_ms = inspection_ms
    line.run(6_000)
    line.inspection_ms = INSPECTION_MS
    line.run(6_000)
    assert line.bad_that_passed() == []


def test_parts_too_close_for_the_station_are_missed_and_thrown_out(line: SignalLine) -> None:
    line.pitch, line.inspection_ms = 400, 90  # a part each 80 ms
    first = len(line.parts)
    line.run(4_000)
    assert line.bad_that_passed() == []
    assert line.block.scope["missed"] >= (len(line.parts) - first) // 2 - 1


@pytest.mark.parametrize("counts", [2**31 + 5_000, 3 * 2**30, 2**32 - 5_000])
def test_a_belt_that_has_long_been_empty_is_no_fault(line: SignalLine, counts: int) -> None:
    line.run_empty(counts)
    first = len(line.parts)
    line.run(5_000)
    assert not line.block.scope["fault"]
    assert line.bad_that_passed() == line.good_thrown_out_since(first) == []


@pytest.mark.parametrize("at_ms", range(0, 250, 30))
def test_a_restarted_station_passes_no_bad_part(line: SignalLine, at_ms: int) -> None:
    line.run(at_ms)
    line.start_station()
    line.run(1_500)
    first = len(line.parts)
    line.run(4_000)
    assert line.bad_that_passed() == line.good_thrown_out_since(first) == []


@pytest.mark.parametrize("at_ms", range(0, 250, 30))
def test_after_a_restart_of_the_plc_everything_is_ejected_for_one_eject_distance(line: SignalLine, at_ms: int) -> None:
    line.run(at_ms)
    on_the_way = range(line.at_ejector, len(line.parts))
    line.block.restart()
    line.run(1_500)
    first = len(line.parts)
    line.run(4_000)
    assert not set(on_the_way) & set(line.passed)
    assert line.bad_that_passed() == line.good_thrown_out_since(first) == []


def test_a_station_that_goes_off_line_is_an_error_and_nothing_passes(line: SignalLine) -> None:
    line.station.send(Offline("stopped"), line.now_ms / 1000)
    first = len(line.parts)
    line.run(4_000)
    assert [part for part in line.passed if part >= first] == []
    assert not line.block.scope["healthy"]


def test_trigger_goes_off_at_the_deadline_of_its_part(line: SignalLine) -> None:
    line.cut = Terminal.STROBE
    longest_ms = on_ms = 0
    for _ in range(300):
        line.run(SCAN_MS)
        on_ms = on_ms + SCAN_MS if line.block.scope["trigger"] else 0
        longest_ms = max(longest_ms, on_ms)
    assert 0 < longest_ms <= line.block.scope["DEADLINE_MS"] + 2 * SCAN_MS
