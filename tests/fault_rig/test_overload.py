"""Checks of the overload test."""

import pytest

from firmware_bridge.messages import Result, Trigger, Verdict
from firmware_bridge.parts import PartFate, PartRecord
from tools.fault_rig.scenarios.overload import OverloadRun, Phase, check


def part(number: int, triggered_s: float, verdict: Verdict, took_s: float = 0.05) -> PartRecord:
    if verdict is Verdict.NONE:
        return PartRecord(Trigger(number, 0), triggered_s, decision=PartFate.REJECTED)
    result = Result(number, 0, verdict, latency_us=round(took_s * 1e6))
    return PartRecord(Trigger(number, 0), triggered_s, triggered_s + took_s, result, PartFate.REJECTED)


def course(overloaded: list[PartRecord], after: list[PartRecord]) -> OverloadRun:
    phases = [Phase(2, 20, 0.0, 10.0, tuple(overloaded)), Phase(1, 10, 10.0, 20.0, tuple(after))]
    return OverloadRun(sustainable=10, phases=phases, parts=[*overloaded, *after])


GOOD_END = [part(3, 10.1, Verdict.OK), part(4, 10.2, Verdict.NG)]


def test_timeouts_and_the_plc_s_own_rejects_are_what_an_overload_leads_to() -> None:
    overloaded = [part(1, 1.0, Verdict.OK), part(2, 1.1, Verdict.TIMEOUT), part(5, 1.2, Verdict.NONE)]

    assert check(course(overloaded, GOOD_END)) == []


def test_the_time_to_recover_ends_with_the_first_answer_in_time() -> None:
    (_, after) = course([], [part(3, 10.1, Verdict.TIMEOUT), part(4, 10.2, Verdict.OK)]).phases

    assert after.recovered_s == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("overloaded", "after", "said"),
    [
        ([part(1, 1.0, Verdict.FAULT)], GOOD_END, "neither judged nor TIMEOUT"),
        ([part(1, 1.0, Verdict.OK, took_s=0.35)], GOOD_END, "part 1 was judged 0.35"),
        ([part(1, 1.0, Verdict.OK, 0.2), part(2, 1.1, Verdict.OK, 0.01)], GOOD_END, "2 before 1"),
        ([part(1, 1.0, Verdict.OK)], [part(3, 11.0, Verdict.OK)], "it took 1.05"),
        ([part(1, 1.0, Verdict.OK)], [*GOOD_END, part(5, 11.0, Verdict.TIMEOUT)], "only 2 of 3 are judged"),
    ],
)
def test_what_must_not_be_is_said(overloaded: list[PartRecord], after: list[PartRecord], said: str) -> None:
    (problem,) = check(course(overloaded, after))

    assert said in problem
