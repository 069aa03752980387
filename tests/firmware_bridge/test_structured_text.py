"""The Structured Text example: it is of the language, and no bad part passes on a simulated line that it controls."""

import pytest

from firmware_bridge.events import Event
from firmware_bridge.generate.__main__ import HERE
from firmware_bridge.messages import Hello, Result, Trigger, Verdict
from firmware_bridge.modbus.register_map import CONTROL, RESULT, STATUS
from firmware_bridge.modbus.station_handshake import StationHandshake
from firmware_bridge.timing import Timing
from tests.firmware_bridge.plc_line import COUNTS_PER_MS, INSPECTION_MS, PITCH, SCAN_MS, PlcLine, check_grammar
from tests.firmware_bridge.structured_text import FunctionBlock, StructuredTextError

TEXT = (HERE / "plc_example.st").read_text(encoding="utf-8")

WINDOW_MS = 110
"""Age of a trigger at which the camera takes no picture any more."""


class Line(PlcLine):
    """A belt with a sensor, a camera, a station and an ejector, controlled by the function block scan by scan.

    A picture shows the part that came last when the station takes the trigger, as a camera triggered by software does,
    which takes none if the trigger is older than its window.
    """

    def __init__(self, seed: int, encoder: int = 0) -> None:
        super().__init__(TEXT, seed, encoder)
        self.station = StationHandshake(Hello(), Timing.for_modbus(115_200), 0.0)
        self.connected = self.encoder_turns = True
        self.count, self.scan = encoder, 0
        self.ages_ms: list[int] = []  # of the triggers that the station has taken

    def run(self, milliseconds: int) -> None:
        """Let time pass."""
        for _ in range(milliseconds // SCAN_MS):
            self.step()

    def move(self, counts: int) -> None:
        """See PlcLine."""
        super().move(counts)
        self.count += counts

    def step(self) -> None:
        """One scan."""
        self.now_ms += SCAN_MS
        self.belt += COUNTS_PER_MS * SCAN_MS
        self.count += COUNTS_PER_MS * SCAN_MS if self.encoder_turns else 0
        arrives = self.part_arrives()
        self.scan += 1
        fresh = self.connected and self.scan % 2 == 0
        image = self.image() if fresh else self.block.scope["image"]
        self.block.call(
            fresh=fresh,
            image=image,
            part=arrives,
            encoder=self.count % 2**32,
            nowMs=self.plc_ms(),
        )
        if self.connected and self.scan % 2:
            words = [self.block.scope["control"][place] for place in range(CONTROL.count)]
            self.hear(self.station.take({"control": CONTROL.unpack(words)}, self.now_ms / 1000))
        self.hear(self.station.tick(self.now_ms / 1000))
        while self.results and self.results[0][0] <= self.now_ms:
            self.station.send(self.results.pop(0)[1], self.now_ms / 1000)
        self.at_the_ejector()

    def image(self) -> dict[int, int]:
        """Read result and status block."""
        words = self.station.image(RESULT) + self.station.image(STATUS)
        return {RESULT.address + place: word for place, word in enumerate(words)}

    def hear(self, events: list[Event]) -> None:
        """Inspect whatever is in front of the camera."""
        for event in events:
            if isinstance(event, Trigger):
                self.ages_ms.append(event.age_ms)
                seen = Verdict.NG if self.parts[-1][1] else Verdict.OK
                verdict = Verdict.FAULT if event.age_ms > WINDOW_MS else seen
                self.results.append((self.now_ms + INSPECTION_MS, Result(event.part_id, event.encoder, verdict)))


@pytest.fixture
def line() -> Line:
    """A line at work; counts and milliseconds roll over within the next seconds."""
    running = Line(seed=1, encoder=2**32 - 20_000)
    running.run(3_000)
    assert running.block.scope["healthy"]
    return running


def test_the_text_is_of_the_subset_that_every_controller_compiles() -> None:
    assert FunctionBlock(TEXT).name == "EdgeInspect"


def test_an_independent_grammar_of_the_language_takes_the_text() -> None:
    check_grammar(TEXT)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("slot       : INT;", "at : INT;", "keyword"),
        ("partId[slot] / 65536", "SHR(partId[slot], 16)", "SHR is not declared"),
        ("count := count + 1;", "counter := count + 1;", "declared variable"),
        ("MAP_VERSION;", "3;", "expected WORD"),
        ("atWork AND fresh", "atWork AND count", "BOOL"),
        ("END_FUNCTION_BLOCK", "", "expected"),
    ],
)
def test_a_text_that_would_not_compile_is_found(before: str, after: str, reason: str) -> None:
    assert before in TEXT
    with pytest.raises((StructuredTextError, IndexError), match=reason if reason != "expected" else None):
        FunctionBlock(TEXT.replace(before, after))


def test_bad_parts_are_thrown_out_and_good_ones_pass(line: Line) -> None:
    first = line.at_ejector
    line.run(10_000)
    assert line.bad_that_passed() == []
    assert line.good_thrown_out_since(first) == []
    assert len(line.passed) > 12


@pytest.mark.parametrize("gap_ms", [300, 700, 2000])
def test_a_gap_of_the_bus_lets_no_bad_part_pass(line: Line, gap_ms: int) -> None:
    for _ in range(3):
        line.connected = False
        line.run(gap_ms)
        line.connected = True
        line.run(3_000)
    assert line.bad_that_passed() == []
    first = len(line.parts)
    line.run(3_000)
    assert line.good_thrown_out_since(first) == []


def test_a_trigger_that_was_held_up_until_the_next_part_came_passes_no_bad_part(line: Line) -> None:
    line.pitch = 750  # a part each 150 ms: before its deadline of 300 ms the picture shows the next one
    for gap_ms in (*range(120, 280, 20), 700):
        line.connected = False
        line.run(gap_ms)
        line.connected = True
        line.ages_ms.clear()
        line.run(700)
        assert sum(age_ms > line.block.scope["GIVE_UP_MS"] + 2 * SCAN_MS for age_ms in line.ages_ms) <= 1
    assert line.bad_that_passed() == []


def test_a_part_that_is_taken_off_the_belt_shifts_no_other(line: Line) -> None:
    for _ in range(2):
        line.taken_off.add(len(line.parts) - 1)
        line.run(3_000)
    first = line.at_ejector
    line.run(5_000)
    assert line.bad_that_passed() == []
    assert line.good_thrown_out_since(first) == []


def test_after_a_restart_everything_is_ejected_for_one_eject_distance(line: Line) -> None:
    for _ in range(2):
        on_the_way = range(line.at_ejector, len(line.parts))
        last_id = line.block.scope["nextId"]
        line.block.restart()
        line.run(3_000)
        assert line.block.scope["nextId"] > last_id
        assert not set(on_the_way) & set(line.passed)
    assert line.bad_that_passed() == []
    first = len(line.parts)
    line.run(3_000)
    assert line.good_thrown_out_since(first) == []


def test_a_restarted_station_lets_no_bad_part_pass(line: Line) -> None:
    for _ in range(2):
        line.station = StationHandshake(Hello(), Timing.for_modbus(115_200), line.now_ms / 1000)
        line.results.clear()
        line.run(3_000)
    assert line.bad_that_passed() == []


def test_more_parts_than_the_queue_holds_are_a_fault_until_the_reset(line: Line) -> None:
    line.block.scope["LEAST_TRAVEL"] = 10
    line.pitch = 100
    line.run(3_000)
    assert (line.block.scope["fault"], line.block.scope["eject"]) == (True, True)
    line.pitch = PITCH
    line.run(3_000)
    assert line.bad_that_passed() == []
    line.block.call(reset=True)
    line.run(5_000)
    first = len(line.parts)
    line.run(5_000)
    assert not line.block.scope["fault"]
    assert line.good_thrown_out_since(first) == []
    assert line.bad_that_passed() == []


def test_a_broken_wire_of_the_encoder_is_a_fault_with_the_second_part(line: Line) -> None:
    line.encoder_turns = False
    known = len(line.parts)
    line.run(3_000)
    assert (line.block.scope["fault"], line.block.scope["eject"]) == (True, True)
    # Two parts may pass the ejector before the second trigger shows that the counts stand still.
    assert [part for part in line.bad_that_passed() if part >= known - 1] == []


@pytest.mark.parametrize("counts", [2**31 + 5_000, 3 * 2**30, 2**32 - 5_000])
def test_a_belt_that_has_long_been_empty_is_no_fault(line: Line, counts: int) -> None:
    line.run_empty(counts)
    first = len(line.parts)
    line.run(5_000)
    assert not line.block.scope["fault"]
    assert line.bad_that_passed() == line.good_thrown_out_since(first) == []


def test_a_belt_that_runs_back_is_a_fault(line: Line) -> None:
    line.count -= 1_000
    line.run(100)
    assert line.block.scope["fault"]
    assert line.block.scope["eject"]


def test_a_result_of_another_recipe_passes_nothing(line: Line) -> None:
    line.block.scope["wantedRecipe"] = 7  # the station's results say 0
    first = len(line.parts)
    line.run(5_000)
    assert [part for part in line.passed if part >= first] == []
