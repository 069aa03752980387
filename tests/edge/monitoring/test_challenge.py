"""A station that does not find a known bad part says so, and so does one that has not been asked to for too long."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bundle import Defect, Verdict
from edge.alarms import Alarms
from edge.config.challenge import ChallengeSettings
from edge.ejector.rejects import ESCAPED, UNCONFIRMED
from edge.errors import OperatorRequestError
from edge.monitoring.challenge import Challenge, due_since
from edge.monitoring.operator_requests import acknowledge, challenge
from edge.monitoring.operator_service import FAILED, OVERDUE, SERVICE, OperatorService
from edge.part import Outcome, Part
from edge.records.writer import REPLACED, ROWS_REFUSED, Records

BEGAN = datetime(2026, 5, 4, 10, tzinfo=timezone.utc)
PATIENCE_S = 10.0


def hours(count: float) -> datetime:
    return BEGAN + timedelta(hours=count)


@pytest.mark.parametrize(
    ("settings", "passed", "now", "since"),
    [
        ({}, None, 100, None),
        ({"every_hours": 8}, None, 0, 0),  # never passed: asked for at the start
        ({"every_hours": 8}, 1, 8.9, None),
        ({"every_hours": 8}, 1, 9, 9),
        ({"every_hours": 8}, -20, 1, 0),  # long due, but the station was off
        ({"at": ("06:00", "14:00")}, 0, 3.9, None),
        ({"at": ("06:00", "14:00")}, 0, 4, 4),
        ({"at": ("06:00", "14:00")}, 4, 19.9, None),
        ({"at": ("06:00", "14:00")}, 4, 20, 20),
        ({"at": ("06:00", "14:00")}, None, 1, 0),
        ({"at": ("14:00", "06:00")}, 3.9, 19, 4),
    ],
)
def test_when_a_challenge_is_due(
    settings: dict[str, Any], passed: float | None, now: float, since: float | None
) -> None:
    before = None if passed is None else hours(passed)
    found = due_since(ChallengeSettings(**settings), before, BEGAN, hours(now), timezone.utc)

    assert found == (None if since is None else hours(since))


@pytest.mark.parametrize(
    ("passed", "now", "since"),
    [
        ("2026-03-28T12:00:00+00:00", "2026-03-28T20:59:59+00:00", None),
        ("2026-03-28T12:00:00+00:00", "2026-03-28T21:00:00+00:00", "2026-03-28T21:00:00+00:00"),
        ("2026-03-28T12:00:00+00:00", "2026-03-29T03:00:00+00:00", "2026-03-28T21:00:00+00:00"),
        ("2026-03-28T21:10:00+00:00", "2026-03-29T03:59:59+00:00", None),
        ("2026-10-24T20:10:00+00:00", "2026-10-25T04:59:59+00:00", None),
        ("2026-10-24T12:00:00+00:00", "2026-10-25T04:59:59+00:00", "2026-10-24T20:00:00+00:00"),
    ],
)
def test_a_challenge_is_due_at_its_local_time_across_daylight_saving(passed: str, now: str, since: str | None) -> None:
    settings = ChallengeSettings(at=("06:00", "22:00"))
    began = datetime(2026, 3, 1, tzinfo=timezone.utc)
    found = due_since(
        settings, datetime.fromisoformat(passed), began, datetime.fromisoformat(now), ZoneInfo("Europe/Berlin")
    )

    assert found == (None if since is None else datetime.fromisoformat(since))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"at": ("25:00",)}, "found '25:00', expected a time of day"),
        ({"at": ("06:00",), "every_hours": 8}, "found every_hours and at"),
        ({"parts": 0}, "greater than or equal to 1"),
        ({"every_hours": 0}, "greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ChallengeSettings(**change)


def judged(number: int, verdict: Verdict, class_name: str = "") -> Part:
    part = Part(number, number + 100, 0, 0.0, 1.0)
    part.settle(Outcome(verdict, (Defect(1, class_name, 0.9, 16.0, (1, 2, 3, 4)),) if class_name else ()))
    return part


@pytest.mark.parametrize(
    ("parts", "expected", "verdicts", "result"),
    [
        (1, None, [(Verdict.NG, "Dark")], "passed"),
        (1, "Dark", [(Verdict.NG, "Dark")], "passed"),
        (1, "Dark", [(Verdict.NG, "Bright")], "failed"),
        (1, None, [(Verdict.OK, "")], "failed"),
        (1, None, [(Verdict.TIMEOUT, "")], "failed"),
        (1, None, [(Verdict.UNSURE, "Dark")], "failed"),
        (2, None, [(Verdict.NG, "Dark")], None),
        (2, None, [(Verdict.NG, "Dark"), (Verdict.NG, "Bright")], "passed"),
        (3, None, [(Verdict.NG, "Dark"), (Verdict.OK, "")], "failed"),
    ],
)
def test_every_part_of_a_challenge_has_to_be_found(
    parts: int, expected: str | None, verdicts: list[tuple[Verdict, str]], result: str | None
) -> None:
    made = Challenge(1, parts, expected, after=10, began=BEGAN)
    assert not made.add(judged(10, Verdict.OK))
    for number, (verdict, class_name) in enumerate(verdicts, 11):
        assert made.add(judged(number, verdict, class_name))

    assert made.result == result


class Bench:
    """An operator service with its records and a clock that stands still."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.now, self.settings = BEGAN, ChallengeSettings(**settings)
        self.records, self.alarms = Records(path), Alarms()
        self.service = OperatorService(self.settings, self.records, self.alarms, lambda: self.now)

    @property
    def raised(self) -> list[str]:
        return [alarm.name for alarm in self.alarms.active]

    def part(self, verdict: Verdict, class_name: str = "") -> None:
        """Let a part be judged and reported."""
        part = judged(self.records.new_number(), verdict, class_name)
        self.records.keep(part, PATIENCE_S)
        self.service.add(part)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the service poll by itself."""
        stopping = threading.Event()
        thread = threading.Thread(target=self.service.run, args=(stopping,))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite"


@pytest.fixture
def bench(path: Path) -> Iterator[Bench]:
    made = Bench(path, every_hours=8, overdue_minutes=30, expected="Dark")
    yield made
    made.records.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_an_operator_starts_it_and_hears_that_it_is_passed(bench: Bench, path: Path) -> None:
    bench.part(Verdict.OK)
    with bench.running():
        found = challenge(path, bench.settings, "Ada", lambda _: bench.part(Verdict.NG, "Dark"), PATIENCE_S)
    bench.part(Verdict.OK)
    bench.records.close()

    assert found == "NG Dark"
    assert rows(path, "SELECT who, parts, class, result, found FROM challenges") == [
        ("Ada", 1, "Dark", "passed", "NG Dark")
    ]
    assert rows(path, "SELECT number, challenge FROM parts") == [(1, None), (2, 1), (3, None)]


def test_a_part_that_is_not_found_is_an_alarm_until_one_is(bench: Bench, path: Path) -> None:
    with bench.running():
        with pytest.raises(OperatorRequestError, match="challenge 1 failed: found OK, expected 1 x NG Dark"):
            challenge(path, bench.settings, "Ada", lambda _: bench.part(Verdict.OK), PATIENCE_S)
        failed = bench.raised
        challenge(path, bench.settings, "Ada", lambda _: bench.part(Verdict.NG, "Dark"), PATIENCE_S)

    assert failed == [FAILED]
    assert bench.raised == []


def test_a_station_that_does_not_run_does_not_answer(bench: Bench, path: Path) -> None:
    with pytest.raises(OperatorRequestError, match=r"found no answer .* is it running"):
        challenge(path, bench.settings, "Ada", print, taken_s=0.0)
    with pytest.raises(OperatorRequestError, match="found no answer"):
        acknowledge(path, "Ada", taken_s=0.0)
    bench.service.poll()

    assert rows(path, "SELECT result FROM challenges") == [("abandoned",)]
    assert bench.service.challenge.missing == 0


def test_without_records_there_is_no_station(tmp_path: Path) -> None:
    with pytest.raises(OperatorRequestError, match="found no such file"):
        acknowledge(tmp_path / "none.sqlite", "Ada")


def test_it_is_asked_for_and_then_overdue_until_it_is_passed(
    bench: Bench, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench.service.poll()
    asked, quiet = bench.service.challenge, bench.raised
    bench.now += timedelta(minutes=30)
    bench.service.poll()
    overdue = bench.service.challenge.overdue, bench.raised
    with bench.running():
        challenge(path, bench.settings, "Ada", lambda _: bench.part(Verdict.NG, "Dark"), PATIENCE_S)
    bench.records.close()
    bench.service.poll()

    assert (asked.due_since, asked.overdue, quiet) == (BEGAN, False, [])
    assert "is due" in caplog.text
    assert overdue == (True, [OVERDUE])
    assert (bench.service.challenge.due_since, bench.raised) == (None, [])


def test_a_challenge_passed_at_a_date_to_come_does_not_count(bench: Bench, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO challenges (time, who, parts, result, ended) VALUES ('now', 'Ada', 1, 'passed', ?)",
            ((BEGAN + timedelta(days=400)).isoformat(timespec="milliseconds"),),
        )
    bench.service.poll()

    assert bench.service.challenge.due_since == BEGAN


def test_parts_that_do_not_come_end_it(bench: Bench, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO challenges (time, who, parts) VALUES ('now', 'Ada', 2)")
    bench.service.poll()
    bench.part(Verdict.NG, "Dark")
    bench.service.poll()
    missing = bench.service.challenge.missing
    bench.now += timedelta(minutes=10)
    bench.service.poll()
    bench.part(Verdict.NG, "Dark")
    bench.records.close()

    assert missing == 1
    assert rows(path, "SELECT result, found FROM challenges") == [("abandoned", "NG Dark")]
    assert rows(path, "SELECT challenge FROM parts") == [(1,), (None,)]


def test_what_a_station_before_has_begun_is_given_up(bench: Bench, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO challenges (time, who, parts, result) VALUES ('now', 'Ada', 2, 'open')")
    with bench.running():
        pass

    assert rows(path, "SELECT result FROM challenges") == [("abandoned",)]


@pytest.mark.parametrize("name", [ESCAPED, UNCONFIRMED, FAILED, ROWS_REFUSED, REPLACED])
def test_an_acknowledged_alarm_is_over_and_on_record(bench: Bench, path: Path, name: str) -> None:
    bench.alarms.raise_(name, "part 7", part_id=7)
    bench.alarms.raise_("PLC", "silent")
    with bench.running():
        ended = acknowledge(path, "Ada", taken_s=PATIENCE_S)

    assert ended == name
    assert bench.raised == ["PLC"]
    assert rows(path, "SELECT who, alarms FROM acknowledgements") == [("Ada", name)]


def test_an_unexpected_error_is_an_alarm_and_does_not_stop_the_service(bench: Bench, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO challenges (time, who, parts, result, ended) VALUES ('', '', 1, 'passed', '1999-13-45')"
        )
    bench.service.poll()
    broken = bench.raised
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM challenges")
    bench.service.poll()

    assert (broken, bench.raised) == ([SERVICE], [])


def test_records_that_cannot_be_read_do_not_stop_the_service(
    bench: Bench, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE challenges RENAME TO gone")
    bench.service.poll()
    bench.service.poll()

    assert caplog.text.count("no such table") == 1
