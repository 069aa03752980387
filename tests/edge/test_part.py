"""A part is settled once, and handed on before anybody who waits for that wakes up."""

import threading

from bundle import Verdict
from edge.part import Outcome, Part

OK, LATE = Outcome(Verdict.OK), Outcome(Verdict.TIMEOUT, fault="late")


def test_the_first_verdict_stands_and_is_handed_on_once() -> None:
    handed_on: list[Outcome | None] = []
    part = Part(1, 1, 1, 0.0, 1.0, when_settled=lambda settled: handed_on.append(settled.outcome))

    assert (part.settle(OK), part.settle(LATE)) == (True, False)
    assert part.outcome is OK
    assert handed_on == [OK]


def test_whoever_waits_for_the_verdict_wakes_when_it_has_been_handed_on() -> None:
    awake: list[bool] = []
    part = Part(1, 1, 1, 0.0, 1.0, when_settled=lambda settled: awake.append(settled.wait(0.0)))
    part.settle(OK)

    assert awake == [False]
    assert part.wait(0.0)


def test_whoever_comes_second_goes_on_when_the_verdict_has_been_handed_on() -> None:
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
