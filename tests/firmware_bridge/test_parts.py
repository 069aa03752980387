"""The ledger: a part is bad until it is proved good."""

import pytest

from firmware_bridge.messages import Result, Trigger, Verdict
from firmware_bridge.parts import Ledger, PartFate

PART = Trigger(7, 7000)


@pytest.fixture
def ledger() -> Ledger:
    """One part, triggered at time 0, with a second to go."""
    begun = Ledger(deadline_s=1.0)
    begun.triggered(PART, 0.0)
    return begun


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_ok_passes(ledger: Ledger, verdict: Verdict) -> None:
    ledger.answered(Result(7, 7000, verdict), 0.5)
    assert (ledger.records[7].decision is PartFate.PASSED) == (verdict is Verdict.OK)
    assert ledger.records[7].round_trip_s == 0.5


@pytest.mark.parametrize(("part_id", "encoder"), [(8, 7000), (7, 7001), (8, 8000)])
def test_an_answer_for_another_part_is_foreign(ledger: Ledger, part_id: int, encoder: int) -> None:
    assert ledger.answered(Result(part_id, encoder, Verdict.OK), 0.5) is None
    assert ledger.records[7].decision is PartFate.WAITING
    assert ledger.foreign == 1


def test_the_watchdog_rejects_at_the_deadline(ledger: Ledger) -> None:
    assert ledger.watch(0.999) == []
    assert [part.trigger for part in ledger.watch(1.0)] == [PART]
    assert ledger.report().unanswered == 1


def test_a_late_ok_passes_nothing(ledger: Ledger) -> None:
    ledger.watch(1.0)
    ledger.answered(Result(7, 7000, Verdict.OK), 1.1)
    report = ledger.report()
    assert (report.passed, report.rejected, report.late) == (0, 1, 1)


def test_a_second_answer_changes_nothing(ledger: Ledger) -> None:
    ledger.answered(Result(7, 7000, Verdict.NG), 0.1)
    ledger.answered(Result(7, 7000, Verdict.OK), 0.2)
    report = ledger.report()
    assert (report.passed, report.rejected, report.repeated) == (0, 1, 1)


@pytest.mark.parametrize(("wanted", "judged_by", "passes"), [(0, 0, True), (0, 3, True), (3, 3, True), (3, 2, False)])
def test_a_part_passes_only_by_the_recipe_that_its_trigger_wanted(wanted: int, judged_by: int, passes: bool) -> None:
    ledger = Ledger(deadline_s=1.0)
    ledger.triggered(Trigger(1, 10, recipe=wanted), 0.0)
    ledger.answered(Result(1, 10, Verdict.OK, recipe=judged_by), 0.1)
    assert ledger.report().passed == passes
