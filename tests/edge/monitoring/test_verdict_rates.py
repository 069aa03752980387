"""A line on which too many parts are TIMEOUT, FAULT or rejected raises an alarm, and one at its usual rate does not."""

from math import comb

import pytest

from bundle import Verdict
from edge.alarms import Alarms
from edge.config.schema import RateSettings
from edge.monitoring.verdict_rates import FALSE_ALARM, FAULTS, REJECTS, TIMEOUTS, VerdictRates, exceeds
from edge.part import Outcome, Part

OK, NG, UNSURE, TIMEOUT, FAULT = Verdict.OK, Verdict.NG, Verdict.UNSURE, Verdict.TIMEOUT, Verdict.FAULT


class Line:
    """The watched parts of a line, with its alarms."""

    def __init__(self, **settings: float) -> None:
        self.alarms = Alarms()
        self.rates = VerdictRates(RateSettings.model_validate(settings), 0.4, self.alarms)
        self.number = 0

    def add(self, *verdicts: Verdict, fault: str = "", **stamps: float) -> None:
        """Report parts with these verdicts."""
        for verdict in verdicts:
            self.number += 1
            part = Part(self.number, self.number, 0, 0.0, 0.4, stamps=dict(stamps))
            part.settle(Outcome(verdict, fault=fault))
            self.rates.add(part)

    @property
    def raised(self) -> list[str]:
        """Names of the active alarms."""
        return [alarm.name for alarm in self.alarms.active]


@pytest.mark.parametrize(("parts", "rate"), [(20, 0.01), (20, 0.5), (200, 0.01), (200, 0.5), (1000, 0.003)])
def test_the_tail_is_that_of_the_binomial_distribution(parts: int, rate: float) -> None:
    tail = 0.0
    for count in range(parts, int(parts * rate), -1):
        tail += comb(parts, count) * rate**count * (1 - rate) ** (parts - count)

        assert exceeds(count, parts, rate) is (tail < FALSE_ALARM), f"{count} of {parts}"


def test_a_rate_at_or_below_the_tolerated_one_is_no_alarm() -> None:
    assert not exceeds(0, 200, 0.0)
    assert exceeds(1, 200, 0.0)
    assert not exceeds(100, 200, 0.5)
    assert not exceeds(10_000, 10_000, 0.99, probability=1e-60)
    assert exceeds(10_000, 10_000, 0.5)


def test_127_of_300_timeouts_are_an_alarm_with_the_times_in_question() -> None:
    line = Line()
    line.add(*[OK] * 173, prepared=0.01, inferred=0.395)
    line.add(*[TIMEOUT] * 127, prepared=0.01, inferred=0.51)
    (alarm,) = line.alarms.active

    assert alarm.name == TIMEOUTS
    assert alarm.text.startswith("parts keep missing their deadline: engine p99 is 500 ms, deadline 400 ms; found ")
    assert "expected at most 0.01 of them" in alarm.text


def test_timeouts_without_any_inference_say_so() -> None:
    line = Line()
    line.add(*[TIMEOUT] * 20)

    assert "no part came out of the engine, deadline 400 ms" in line.alarms.active[0].text


def test_the_alarm_says_what_is_found_now() -> None:
    line = Line()
    line.add(*[FAULT] * 20, fault="camera top: no frame")
    line.add(*[FAULT] * 30, fault="camera top: black")
    line.add(*[OK] * 5)
    (alarm,) = line.alarms.active

    assert (
        alarm.text == "found 50 of the latest 50 parts FAULT, expected at most 0.01 of them; part 50: camera top: black"
    )


def test_69_faults_of_69_are_an_alarm_with_the_latest_reason() -> None:
    line = Line()
    line.add(*[FAULT] * 69, fault="camera top: no frame")

    assert line.raised == [FAULTS]
    assert "part 69: camera top: no frame" in line.alarms.active[0].text


@pytest.mark.parametrize("verdict", [NG, UNSURE])
def test_rejects_of_almost_every_part_are_an_alarm(verdict: Verdict) -> None:
    line = Line()
    line.add(*[verdict] * 20)

    assert line.raised == [REJECTS]


def test_a_usual_rate_is_no_alarm() -> None:
    line = Line()
    for number in range(2000):
        line.add({0: TIMEOUT, 50: FAULT}.get(number % 100, NG if number % 4 == 0 else OK))

    assert line.raised == []


def test_an_alarm_ends_with_good_parts_and_old_ones_do_not_raise_it_again() -> None:
    line = Line()
    line.add(*[OK] * 100, *[TIMEOUT] * 40)
    before = line.raised
    line.add(*[OK] * 19)
    meanwhile = line.raised
    line.add(OK)

    assert (before, meanwhile, line.raised) == ([TIMEOUTS], [TIMEOUTS], [])
    line.add(*[OK] * 100, TIMEOUT)
    assert line.raised == []


def test_an_alarm_that_follows_another_does_not_wake_it_again() -> None:
    line, told = Line(), []
    line.alarms.listeners.append(lambda alarm, raised: told.append((alarm.name, raised)))
    line.add(*[TIMEOUT] * 200, *[FAULT] * 150, *[OK] * 60)

    assert told == [(TIMEOUTS, True), (FAULTS, True), (TIMEOUTS, False), (FAULTS, False)]


def test_parts_of_a_pause_do_not_count() -> None:
    line = Line()
    line.add(*[FAULT] * 100, fault="paused by Ada: cleaning")

    assert line.raised == []


def test_a_window_below_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at most window_parts = 10"):
        RateSettings(window_parts=10)
