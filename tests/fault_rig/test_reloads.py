"""SIGHUPs one after the other, each with the station's answer."""

from pathlib import Path

import pytest

from tools.fault_rig.reloads import Reload, Reloads

TAKEN = "12:00 INFO reload: bundle 613e95c859f4, thresholds"
REFUSED = "12:00 ERROR reload refused, the station continues unchanged: model.onnx is damaged"
EXCUSED = "12:00 ERROR reload refused, the station continues unchanged: found the engine told to fail"


class Station:
    """Answers by a line in its log when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.line, self.log, self.signals = folder / "line.toml", folder / "log", 0
        self.log.touch()
        self.reloads = Reloads(self.line, self.log, self.hear)

    def hear(self) -> None:
        """Count a SIGHUP."""
        self.signals += 1

    def say(self, text: str) -> None:
        """Write to the log."""
        with self.log.open("a") as log:
            log.write(text)
        self.reloads.tick()


def test_the_next_signal_waits_for_the_answer_to_the_last(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.reloads.ask("first", good=True)
    station.reloads.ask("second", good=False)
    station.reloads.tick()
    station.say("12:00 WARNING part 7: FAULT\n12:00 INFO reload: bun")
    assert (station.signals, station.line.read_text()) == (1, "first")

    station.say("dle 613e95c859f4, thresholds\n")
    assert (station.signals, station.line.read_text()) == (2, "second")
    assert station.reloads.sent[0].accepted


def test_at_the_end_the_last_answer_is_heard_and_no_further_signal_is_sent(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.reloads.ask("first", good=True)
    station.reloads.ask("second", good=True)
    station.reloads.tick()

    before = station.reloads.answered()
    station.log.write_text(TAKEN + "\n")

    assert (before, station.reloads.answered()) == (False, True)
    assert (station.signals, station.reloads.problems()) == (1, [])


def test_outcomes_are_counted(tmp_path: Path) -> None:
    station = Station(tmp_path)
    for good, answer in ((True, TAKEN), (False, REFUSED), (True, EXCUSED)):
        station.reloads.ask("", good)
        station.reloads.tick()
        station.say(answer + "\n")

    assert list(station.reloads.counts().values()) == [1, 1, 1, 0]
    assert station.reloads.problems() == []


@pytest.mark.parametrize(
    ("good", "outcome", "problem"),
    [
        (True, TAKEN, ""),
        (False, REFUSED, ""),
        (True, EXCUSED, ""),
        (True, REFUSED, "a good bundle"),
        (False, TAKEN, "a bad bundle"),
        (True, "", "never answered"),
    ],
)
def test_an_outcome_that_should_not_be_is_a_problem(good: bool, outcome: str, problem: str) -> None:
    found = Reload("", good, outcome).problem

    assert problem in found
    assert bool(found) == bool(problem)
