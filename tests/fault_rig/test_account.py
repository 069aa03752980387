"""Comparison of the logs of a test: each contradiction is reported."""

from dataclasses import replace

import pytest

from firmware_bridge.messages import Result, Trigger, Verdict
from firmware_bridge.parts import Ledger
from tools.fault_rig.equipment.witness import Evidence, Reported
from tools.fault_rig.results.account import Account, AccountRow, compare

GOOD, BAD, UNHEARD = 1, 2, 3
"""Parts: one is good, one is defective, the trigger of one never reached the station."""


class RunEvents:
    """Three parts of which everything adds up; a test spoils one thing."""

    def __init__(self) -> None:
        self.ledger = Ledger(deadline_s=1.0)
        for part in (GOOD, BAD, UNHEARD):
            self.ledger.triggered(Trigger(part, part * 10), 0.0)
        self.answer(GOOD, Verdict.OK)
        self.answer(BAD, Verdict.NG)
        self.rows = [row(1, GOOD, "OK"), row(2, BAD, "NG")]
        self.evidence = Evidence(
            photographed={GOOD: 100, BAD: 200, UNHEARD: 300},
            reported=[Reported(1, GOOD, "OK", 100, True), Reported(2, BAD, "NG", 200, True)],
            heard=2,
        )

    def answer(self, part: int, verdict: Verdict, now: float = 0.1) -> None:
        """Have the PLC hear a result."""
        self.ledger.answered(Result(part, part * 10, verdict), now)

    def account(self, watched_s: float = 2.0) -> Account:
        """Let the PLC's watchdog look, then compare."""
        self.ledger.watch(watched_s)
        parts = list(self.ledger.records.values())
        return compare(parts, self.ledger.report(), self.rows, self.evidence, truth, lambda *_: "NG")

    def problem(self) -> str:
        """Give the one thing that does not add up."""
        (problem,) = self.account().problems
        return problem


def row(number: int, part: int, verdict: str, link: str = "acknowledged") -> AccountRow:
    return AccountRow(number, part, verdict, verdict, "bundle", link)


def truth(part: int) -> str | None:
    return "Crack" if part == BAD else None


def test_a_run_in_which_everything_adds_up() -> None:
    account = RunEvents().account()

    assert account.problems == []
    assert account.counts["triggered by the PLC"] == 3
    assert account.counts["results that the PLC applied"] == 2
    assert account.counts["rejected by the PLC's watchdog"] == 1
    assert account.counts["of these, never heard by the station"] == 1
    assert account.counts["passed although defective: the network's mistakes"] == 0


def test_a_verdict_that_the_plc_heard_otherwise() -> None:
    events = RunEvents()
    events.rows[1] = replace(events.rows[1], told="FAULT")

    assert "part 2: the PLC was told NG, on record" in events.problem()


def test_a_result_without_a_row() -> None:
    events = RunEvents()
    events.answer(UNHEARD, Verdict.FAULT)

    assert "part 3: the PLC was told FAULT, on record: None" in events.problem()


def test_a_part_that_was_never_decided() -> None:
    assert RunEvents().account(watched_s=0.5).problems == ["part 3 was never decided"]


def test_an_acknowledgement_of_a_result_that_never_came() -> None:
    events = RunEvents()
    events.rows.append(row(3, UNHEARD, "FAULT"))
    events.evidence.reported.append(Reported(3, UNHEARD, "FAULT", None, False))
    events.evidence.heard = 3

    assert "1 rows are acknowledged without being applied, but 0 results came too late" in events.problem()


def test_two_rows_for_one_part() -> None:
    events = RunEvents()
    events.rows.append(row(3, BAD, "NG"))
    events.evidence.reported.append(Reported(3, BAD, "NG", 200, True))
    events.evidence.heard = 3

    assert events.problem() == "part 2: 2 rows, expected one"


def test_a_row_that_is_missing() -> None:
    events = RunEvents()
    del events.rows[0]
    problems = events.account().problems

    assert "rows: found no unbroken numbers from 1 to 1" in problems
    assert "the runtime counted 2 triggers, found 1 rows" in problems
    assert "2 verdicts were reported, found 1 rows" in problems


def test_verdicts_in_another_order_than_their_triggers() -> None:
    events = RunEvents()
    events.evidence.reported.reverse()

    assert "row 1 was reported after row 2" in events.account().problems


@pytest.mark.parametrize(
    ("reported", "photographed", "said"),
    [
        (Reported(1, GOOD, "OK", 100, True), {}, "the camera took no picture of it"),
        (Reported(1, GOOD, "OK", 200, True), {GOOD: 100}, "by the picture of another part"),
        (Reported(1, GOOD, "OK", 100, False), {GOOD: 100}, "the engine never answered on its picture"),
    ],
)
def test_a_part_that_is_ok_without_having_been_inspected(
    reported: Reported, photographed: dict[int, int], said: str
) -> None:
    events = RunEvents()
    events.evidence.reported[0] = reported
    events.evidence.photographed = photographed

    assert said in events.problem()


@pytest.mark.parametrize(("verdict", "problems"), [("NG", 0), ("OK", 1)])
def test_a_wrong_verdict_is_forgiven_if_the_bundle_itself_makes_that_mistake(verdict: str, problems: int) -> None:
    part, told = (GOOD, Verdict.NG) if verdict == "NG" else (BAD, Verdict.OK)  # the bundle says NG to everything
    events = RunEvents()
    events.ledger.records[part].result = Result(part, part * 10, told)
    events.rows[part - 1] = row(part, part, verdict)
    events.evidence.reported[part - 1] = replace(events.evidence.reported[part - 1], verdict=verdict)

    assert len(events.account().problems) == problems
