"""The ejector as the runtime uses it: pulses where they belong, alarms where they cannot be."""

from typing import Any

import pytest

from edge.alarms import Alarms
from edge.config.ejector import EjectorSettings
from edge.ejector.ejector import BELT, FULL, OUTPUT, STANDS, Ejector
from edge.ejector.output import SimulatedOutput
from edge.ejector.track import Fate
from edge.errors import OutputError
from edge.part import Part

SPEED = 1000
"""Counts a second."""


class Stuck(SimulatedOutput):
    """An output that may refuse to move."""

    stuck = False

    def _set(self, on: bool) -> None:
        if self.stuck:
            raise OSError("Input/output error")
        super()._set(on)


class Bench:
    """An ejector with its belt; time stands still unless told to pass."""

    def __init__(self, at_start: int = 0, **settings: Any) -> None:
        chosen = {"output": "simulated://", "distance_counts": 500, "length_counts": 50, "default": "pass"} | settings
        self.now, self.encoder, self.fates = 100.0, at_start, dict[int, Fate]()
        self.output, self.alarms = Stuck(clock=lambda: self.now), Alarms()
        self.ejector = Ejector(
            EjectorSettings(**chosen), self.output, self.alarms, lambda: self.now, self.fates.__setitem__
        )
        self.ejector.connected(True, restarted=True)
        self.tells = True

    def run(self, seconds: float, speed: int = SPEED) -> None:
        """Let time pass in steps of 10 ms, with the belt and a message about it."""
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            self.encoder += speed // 100
            if self.tells:
                self.ejector.belt_at(self.encoder % 2**32)
            self.ejector.step()

    def part(self, number: int, passes: bool | None) -> Part:
        """Let a part come, judged at once unless `passes` is None."""
        part = Part(number, number + 100, self.encoder % 2**32, self.now, self.now + 1)
        self.ejector.expect(part)
        if passes is not None:
            self.ejector.decide(part, passes)
        return part

    @property
    def raised(self) -> list[str]:
        """Names of the alarms in force."""
        return [alarm.name for alarm in self.alarms.active]


def switched(bench: Bench) -> list[tuple[float, bool]]:
    return [(round(at - 100, 2), on) for at, on in bench.output.switched]


def test_a_reject_is_thrown_out_at_its_place_and_a_good_part_is_not() -> None:
    bench = Bench(at_start=2**32 - 300)
    bench.run(0.1)
    bench.part(1, passes=False)
    bench.run(0.2)
    bench.part(2, passes=True)
    bench.run(1.0)

    assert switched(bench) == [(0.6, True), (0.65, False)]
    assert bench.fates == {1: Fate.EJECTED, 2: Fate.PASSED}
    assert bench.raised == []


def test_nothing_fires_and_nothing_is_forgotten_while_the_belt_stands() -> None:
    bench = Bench(belt_stop_s=5)
    bench.run(0.1)
    bench.part(1, passes=False)
    bench.run(0.2)
    bench.run(6.0, speed=0)
    standing, stopped = switched(bench), bench.raised
    bench.run(1.0)

    assert (standing, stopped) == ([], [STANDS])
    assert switched(bench) == [(6.6, True), (6.65, False)]
    assert bench.raised == []


def test_without_messages_about_the_belt_the_triggers_say_where_it_is() -> None:
    bench = Bench(coast_ms=1000, belt_silence_ms=2000)
    bench.tells = False
    for number in range(8):
        bench.part(number, passes=number != 2)
        bench.run(0.2)

    assert switched(bench) == [(0.9, True), (0.95, False)]


def test_by_time_needs_no_encoder() -> None:
    bench = Bench(distance_counts=None, length_counts=None, delay_ms=500, length_ms=50)
    bench.tells = False
    bench.part(1, passes=False)
    bench.run(0.7)

    assert switched(bench) == [(0.5, True), (0.55, False)]


def test_at_the_start_unknown_parts_are_ejected() -> None:
    bench = Bench(default="reject")
    bench.run(0.1)
    bench.part(1, passes=True)
    bench.run(1.0)

    assert switched(bench) == [(0.01, True), (0.51, False)]
    assert bench.fates == {1: Fate.PASSED}


def test_while_no_counts_come_everything_is_thrown_out() -> None:
    bench = Bench(belt_silence_ms=295)
    bench.run(0.1)
    bench.part(1, passes=False)
    bench.part(2, passes=True)
    bench.tells = False
    bench.run(1.0)
    blind = bench.raised
    bench.tells = True
    bench.run(0.3)

    assert blind == [BELT]
    assert switched(bench) == [(0.4, True), (1.11, False)]
    assert bench.fates == {1: Fate.EJECTED, 2: Fate.PASSED}
    assert bench.raised == []


@pytest.mark.parametrize(("fail_safe", "held"), [("on", True), ("off", False)])
def test_without_the_plc_the_output_is_as_fail_safe_asks(fail_safe: str, held: bool) -> None:
    bench = Bench(fail_safe=fail_safe)
    bench.run(0.1)
    bench.ejector.connected(False)
    bench.run(0.1)
    lost = bench.output.on
    bench.ejector.connected(True)
    bench.run(0.1)

    assert lost is held
    assert not bench.output.on


def test_an_output_that_fails_lets_parts_escape_and_says_so() -> None:
    bench = Bench()
    bench.run(0.1)
    bench.part(1, passes=False)
    bench.output.stuck = True
    bench.run(0.6)
    broken = bench.raised, dict(bench.fates)
    bench.output.stuck = False
    bench.part(2, passes=False)
    bench.run(0.6)

    assert broken == ([OUTPUT], {1: Fate.ESCAPED})
    assert bench.fates[2] is Fate.EJECTED
    assert bench.raised == []


def test_a_verdict_that_comes_behind_the_ejector_is_an_escape() -> None:
    bench = Bench()
    bench.run(0.1)
    part = bench.part(1, passes=None)
    bench.run(0.7)
    bench.ejector.decide(part, passes=False)

    assert bench.fates == {1: Fate.ESCAPED}


def test_an_encoder_that_restarts_leaves_no_reject_unmentioned() -> None:
    bench = Bench(at_start=1_000_000)
    bench.run(0.1)
    bench.part(1, passes=False)
    bench.part(2, passes=True)
    bench.encoder = 0
    bench.run(0.1)

    assert bench.fates == {1: Fate.ESCAPED}


def test_more_parts_than_the_queue_holds_are_an_alarm_until_there_is_room() -> None:
    bench = Bench(queue=2)
    bench.run(0.1)
    for number in range(3):
        bench.part(number, passes=True)
    full = bench.raised
    bench.run(0.7)

    assert full == [FULL]
    assert bench.fates == {0: Fate.PASSED, 1: Fate.EJECTED, 2: Fate.EJECTED}
    assert bench.raised == []


@pytest.mark.parametrize(("fail_safe", "left"), [("on", True), ("off", False)])
def test_a_station_that_stops_leaves_the_output_as_fail_safe_asks(fail_safe: str, left: bool) -> None:
    bench = Bench(fail_safe=fail_safe)
    bench.run(0.1)
    bench.part(1, passes=False)
    bench.ejector.stop()
    bench.ejector.run()

    assert bench.output.on is left
    assert bench.fates == {1: Fate.ESCAPED}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"delay_ms": 5}, "distance_counts and delay_ms, expected distance_counts or delay_ms"),
        ({"distance_counts": None}, "found neither, expected distance_counts or delay_ms"),
        ({"length_counts": None}, "found neither, expected length_counts or length_ms"),
        ({"distance_counts": None, "delay_ms": 5}, "expected length_ms"),
        ({"distance_counts": 0}, "greater than or equal to 1"),
        ({"default": "maybe"}, "'reject' or 'pass'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Bench(**change)


def test_an_output_error_names_the_output() -> None:
    output = Stuck()
    output.stuck = True
    with pytest.raises(OutputError, match="ejector simulated://: cannot be switched on"):
        output.set(True)
