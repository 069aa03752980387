"""Every rejected part's fate stands in its row, whichever comes first."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundle import Verdict
from edge.alarms import Alarms
from edge.config.ejector import ConfirmationSettings, EjectorSettings
from edge.ejector.ejector import Ejector
from edge.ejector.output import SimulatedOutput
from edge.ejector.rejects import ESCAPED, UNCONFIRMED, Confirmation, Rejects
from edge.ejector.track import Fate
from edge.part import Outcome, Part
from edge.records.writer import Records

PATIENCE_S = 10.0


class Bench:
    """Rejects with their records; time stands still unless set."""

    def __init__(self, path: Path, confirmation: ConfirmationSettings | None = None) -> None:
        self.now, self.records, self.alarms = 0.0, Records(path), Alarms()
        self.rejects = Rejects(self.records, self.alarms, lambda: self.now, confirmation)

    def part(self, number: int, verdict: Verdict = Verdict.NG) -> Part:
        """Let a part be triggered."""
        part = Part(number, number + 100, number * 10, self.now, self.now + 1)
        part.settle(Outcome(verdict))
        self.rejects.triggered(part)
        return part

    def report(self, part: Part) -> None:
        """Write its row and tell of it."""
        self.records.keep(part, PATIENCE_S)
        assert part.outcome is not None
        self.rejects.reported(part, part.outcome.verdict is Verdict.OK)

    def ejections(self) -> dict[int, str | None]:
        """Close the records and give what stands in them."""
        self.records.close()
        with closing(sqlite3.connect(self.records.path)) as connection:
            return dict(connection.execute("SELECT number, ejection FROM parts"))


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "records.sqlite"


def test_a_fate_that_comes_before_the_row_is_not_lost(path: Path) -> None:
    bench = Bench(path)
    early, late = bench.part(1), bench.part(2)
    bench.rejects.settled(1, Fate.EJECTED)
    bench.report(early)
    bench.report(late)
    bench.rejects.settled(2, Fate.ESCAPED)

    assert bench.ejections() == {1: "ejected", 2: "escaped"}
    assert [(alarm.name, alarm.part_id) for alarm in bench.alarms.active] == [(ESCAPED, 102)]


def test_a_part_that_may_go_on_has_no_fate(path: Path) -> None:
    bench = Bench(path)
    bench.report(bench.part(1, Verdict.OK))
    bench.rejects.settled(1, Fate.PASSED)

    assert bench.ejections() == {1: None}


@pytest.mark.parametrize("by", ["counts", "time"])
def test_a_reject_of_the_plc_s_that_does_not_arrive_is_an_alarm(path: Path, by: str) -> None:
    settings = ConfirmationSettings(**({"within_counts": 500} if by == "counts" else {"within_ms": 500}))
    bench = Bench(path, settings)
    bench.rejects.belt_at(0, 65535)
    bench.report(bench.part(1))
    bench.report(bench.part(2, Verdict.OK))
    bench.report(bench.part(3, Verdict.TIMEOUT))
    bench.now = 0.3
    bench.rejects.belt_at(300, 0)
    bench.rejects.check()
    before = bench.alarms.active
    bench.now = 0.6
    bench.rejects.belt_at(600, 0)
    bench.rejects.check()

    assert before == ()
    assert [(alarm.name, alarm.part_id) for alarm in bench.alarms.active] == [(UNCONFIRMED, 103)]
    assert bench.ejections() == {1: "confirmed", 2: None, 3: "unconfirmed"}


def test_the_time_of_an_arrival_counts_from_the_trigger_not_from_the_verdict(path: Path) -> None:
    bench = Bench(path, ConfirmationSettings(within_ms=500))
    part = bench.part(1)
    bench.now = 0.3
    bench.report(part)
    found = []
    for bench.now in (0.5, 0.501):
        bench.rejects.check()
        found.append([alarm.name for alarm in bench.alarms.active])
    bench.records.close()

    assert found == [[], [UNCONFIRMED]]


def test_with_an_ejector_of_its_own_only_what_it_threw_out_is_waited_for(path: Path) -> None:
    bench = Bench(path, ConfirmationSettings(within_counts=500))
    chosen = EjectorSettings(output="simulated://", distance_counts=100, length_counts=20, default="pass")
    ejector = Ejector(chosen, SimulatedOutput(), bench.alarms, lambda: bench.now, bench.rejects.settled)
    bench.rejects.ejector = ejector
    bench.rejects.connected(True, restarted=True)
    bench.rejects.belt_at(0, 0)
    for number in (1, 2, 3):
        bench.report(bench.part(number, Verdict.OK if number == 2 else Verdict.NG))
    for at in range(0, 700, 10):
        bench.now += 0.01
        bench.rejects.belt_at(at, at >= 200)
        ejector.step()

    assert bench.ejections() == {1: "confirmed", 2: None, 3: "unconfirmed"}


def test_what_the_reject_controller_misses_stands_in_the_row(path: Path) -> None:
    bench = Bench(path)
    bench.report(bench.part(1))
    bench.rejects.unconfirmed(101)
    bench.rejects.unconfirmed(999)

    assert bench.ejections() == {1: "unconfirmed"}


def test_a_plc_that_restarts_confirms_no_earlier_part(path: Path) -> None:
    bench = Bench(path, ConfirmationSettings(within_counts=500))
    bench.rejects.belt_at(1000, 7)
    bench.report(bench.part(1))
    bench.rejects.connected(True, restarted=True)
    bench.rejects.belt_at(0, 0)
    bench.rejects.belt_at(10, 1)
    bench.rejects.belt_at(5000, 1)

    assert bench.ejections() == {1: None}
    assert bench.alarms.active == ()


def test_an_arrival_that_no_part_waits_for_confirms_none_that_comes_later() -> None:
    confirmation = Confirmation(within=100)
    confirmation.arrived(65535)
    confirmation.expect(1, 0)

    assert confirmation.arrived(1) == [1]  # two have arrived, across the end of the u16
    confirmation.expect(2, 0)
    assert confirmation.arrived(1) == []


@pytest.mark.parametrize("given", [{}, {"within_counts": 5, "within_ms": 5}])
def test_a_confirmation_has_one_limit(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="found both or neither"):
        ConfirmationSettings(**given)
