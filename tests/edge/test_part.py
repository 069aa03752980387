"""A part is settled once, handed on before waiting threads wake up, and overruled only by an explicit call."""

import threading

import pytest

from bundle import FrameError, Verdict
from edge.errors import EngineError
from edge.part import OneShotEvent, Outcome, Part

OK, LATE = Outcome(Verdict.OK), Outcome(Verdict.TIMEOUT, fault="late")


def test_the_first_verdict_stands_and_is_handed_on_once() -> None:
    handed_on: list[Outcome | None] = []
    part = Part(1, 1, 1, 0.0, 1.0, when_settled=lambda settled: handed_on.append(settled.outcome))

    assert (part.settle(OK), part.settle(LATE)) == (True, False)
    assert part.outcome is OK
    assert handed_on == [OK]


def test_a_thread_that_waits_for_the_verdict_wakes_after_the_callback() -> None:
    awake: list[bool] = []
    part = Part(1, 1, 1, 0.0, 1.0, when_settled=lambda settled: awake.append(settled.wait(0.0)))
    part.settle(OK)

    assert awake == [False]
    assert part.wait(0.0)


def test_the_second_thread_to_settle_goes_on_after_the_callback() -> None:
    finished: list[bool] = []

    def hand_on(part: Part) -> None:
        second.start()
        second.join(0.05)
        finished.append(not second.is_alive())

    part = Part(1, 1, 1, 0.0, 1.0, when_settled=hand_on)
    second = threading.Thread(target=part.settle, args=(LATE,))
    part.settle(OK)
    second.join()

    assert finished == [False]
    assert part.outcome is OK


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (EngineError("engine: found none"), "engine: found none"),
        (FrameError("frame: too small"), "frame: too small"),
        (MemoryError("no room"), "MemoryError: no room"),
    ],
)
def test_an_error_is_a_fault_that_names_it(error: Exception, fault: str) -> None:
    part = Part(1, 1, 1, 0.0, 1.0)
    part.settle_error(error)

    assert part.outcome == Outcome(Verdict.FAULT, fault=fault)


def test_a_late_part_is_a_timeout_with_the_time_that_it_had() -> None:
    part = Part(1, 1, 1, 2.0, 2.5)
    part.settle_late()

    assert part.outcome == Outcome(Verdict.TIMEOUT, fault="no verdict within 500 ms of the trigger")


def test_only_a_verdict_that_exists_can_be_overruled() -> None:
    part = Part(1, 1, 1, 0.0, 1.0)
    with pytest.raises(ValueError, match="part 1 has no verdict yet"):
        part.overrule(LATE)
    part.settle(OK)
    part.overrule(LATE)

    assert part.outcome is LATE


def test_an_event_that_is_not_set_ends_the_wait_after_its_timeout() -> None:
    assert not OneShotEvent().wait(0.001)
    assert not OneShotEvent().wait(-1.0)


def test_an_event_wakes_all_waiting_threads_and_stays_set() -> None:
    event = OneShotEvent()
    waiting = [threading.Thread(target=event.wait, args=(60.0,)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    event.set()
    for thread in waiting:
        thread.join(10.0)

    assert not any(thread.is_alive() for thread in waiting)
    assert event.wait(0.0)
