"""Wires of the simulated GPIO chip that fail in mid-part: station and PLC on its ports, in passed-in time."""

import pytest

from firmware_bridge.events import Event
from firmware_bridge.messages import Result, Trigger, Verdict
from firmware_bridge.signals.ends import LineEnd
from firmware_bridge.signals.plc_signals import PlcSignals
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import SignalTimes, Terminal
from firmware_bridge.simulator.simulated_chip import SimulatedChip
from firmware_bridge.timing import Timing

STEP_S = 0.002
INSPECTION_S = 0.02
PART_S = 0.15
"""Longer than a part that is given up, with the return of both sides."""
MOMENTS = [Terminal.BUSY, Terminal.BUSY | Terminal.OK, Terminal.STROBE]
"""Levels that stand when the fault comes: while the part is inspected, and with its result."""


class ChipLine:
    """Steps both sides in steps; a fault begins once the outputs have the levels `awaited`."""

    def __init__(self, verdict: Verdict) -> None:
        self.chip, self.verdict, self.now = SimulatedChip(), verdict, 0.0
        times = SignalTimes()
        self.sides = [
            (LineEnd(StationSignals(times, 0.0), times, Timing()), self.chip.open_station()),
            (LineEnd(PlcSignals(0.1), times, Timing()), self.chip.open_plc()),
        ]
        self.results: list[Result] = []
        self._inspected: list[tuple[float, Result]] = []
        self.run(0.02)

    def run(self, seconds: float, awaited: Terminal | None = None) -> bool:
        """Let time pass, or only as long as the levels awaited have not come; true if they have."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            for end, port in self.sides:
                self._hear(end.receive(port.read(0), self.now) + end.tick(self.now))
                if data := end.outgoing():
                    port.write(data)
            while self._inspected and self._inspected[0][0] <= self.now:
                self.sides[0][0].send(self._inspected.pop(0)[1], self.now)
            if awaited is not None and self.chip.outputs & awaited == awaited:
                return True
        return False

    def _hear(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Trigger):
                self._inspected.append((self.now + INSPECTION_S, Result(event.part_id, event.encoder, self.verdict)))
            elif isinstance(event, Result):
                self.results.append(event)

    def part(self, part_id: int) -> None:
        """Let a part come to the PLC's sensor."""
        self.sides[1][0].send(Trigger(part_id, 70), self.now)


def levels_at(moment: Terminal, verdict: Verdict) -> Terminal:
    """Return the levels of the moment for a part of this verdict."""
    result = Terminal.OK if verdict is Verdict.OK else Terminal.NG
    return moment & ~Terminal.OK | result if moment & Terminal.OK else moment


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name)
@pytest.mark.parametrize("terminal", [*Terminal], ids=lambda terminal: terminal.name)
@pytest.mark.parametrize("fault", ["cut", "stuck"])
@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.NG], ids=lambda verdict: verdict.name)
def test_an_output_that_fails_in_mid_part_passes_no_bad_part_and_mended_the_good_ones(
    moment: Terminal, terminal: Terminal, fault: str, verdict: Verdict
) -> None:
    line = ChipLine(verdict)
    line.part(5)
    assert line.run(PART_S, awaited=levels_at(moment, verdict))
    setattr(line.chip, fault, terminal)
    line.run(PART_S)
    line.part(6)
    line.run(PART_S)
    passed = {result.part_id for result in line.results if result.verdict is Verdict.OK}
    setattr(line.chip, fault, Terminal(0))
    line.run(PART_S)
    line.part(7)
    line.run(PART_S)

    assert verdict is Verdict.OK or not passed
    assert line.results[-1] == Result(7, 70, verdict)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name)
def test_all_outputs_that_fall_in_mid_part_reject_it(moment: Terminal) -> None:
    line = ChipLine(Verdict.OK)
    line.part(5)
    assert line.run(PART_S, awaited=moment)
    before = list(line.results)
    line.chip.cut = ~Terminal(0)
    line.run(PART_S)

    assert line.results == before
    line.chip.cut = Terminal(0)
    line.run(PART_S)
    line.part(6)
    line.run(PART_S)
    assert line.results[-1] == Result(6, 70, Verdict.OK)


@pytest.mark.parametrize("moment", MOMENTS[:-1], ids=lambda moment: moment.name)
def test_a_trigger_wire_that_is_cut_in_mid_part_rejects_it(moment: Terminal) -> None:
    line = ChipLine(Verdict.OK)
    line.part(5)
    assert line.run(PART_S, awaited=moment)
    line.chip.trigger_cut = True
    line.run(PART_S)

    assert line.results == []
    line.chip.trigger_cut = False
    line.run(PART_S)
    line.part(6)
    line.run(PART_S)
    assert line.results == [Result(6, 70, Verdict.OK)]
