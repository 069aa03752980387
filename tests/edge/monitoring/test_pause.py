"""A paused station rejects every part, says so, and goes on to do so after a restart."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.alarms import Area
from edge.errors import OperatorRequestError
from edge.monitoring.operator_requests import pause, resume
from edge.page.operator_actions import OperatorActions
from tests.edge.page.doubles import welcome
from tests.edge.running_line import Run, RunningLine

COLUMNS = "who, reason, end_who, began IS NOT NULL, ended IS NOT NULL"


def actions(line: RunningLine) -> OperatorActions:
    """Actions from the page of a running line."""
    return OperatorActions(welcome(records=str(line.line.records)))


def test_every_part_is_rejected_until_the_station_is_resumed(run: Run) -> None:
    with run(page={}) as line:
        before = line.verdicts(1)
        actions(line).pause("Ada", "cleaning")
        paused, state = line.verdicts(2, 3), line.pages[0].state()
        alarms = line.alarms
        actions(line).resume("Bob")
        after = line.verdicts(4)

        assert (before, paused, after) == (["OK"], ["OK", "FAULT", "FAULT"], ["OK", "FAULT", "FAULT", "OK"])
        assert state.paused is not None
        assert (state.paused.who, state.paused.reason, alarms, line.alarms) == ("Ada", "cleaning", ["paused"], [])
        assert line.pages[0].state().paused is None
    assert line.rows("SELECT fault FROM parts WHERE part_id = 2") == [("paused by Ada: cleaning",)]
    assert line.rows(f"SELECT {COLUMNS} FROM pauses") == [("Ada", "cleaning", "Bob", 1, 1)]


def test_parts_of_a_pause_are_no_rejects_in_a_row(run: Run) -> None:
    with run(alarm_after_rejects=3) as line:
        actions(line).pause("Ada", "cleaning")
        line.verdicts(1, 2, 3, 4)

        assert line.alarms == ["paused"]


def test_a_pause_outlives_the_station(run: Run) -> None:
    with run() as line:
        actions(line).pause("Ada", "lamp")
    with run() as line:
        assert line.verdicts(1) == ["FAULT"]
        assert line.alarms == ["paused"]


def test_frames_that_come_by_themselves_are_rejected_too(run: Run) -> None:
    with run(trigger="free", doubles={"rolls_at_once": False}) as line:
        actions(line).pause("Ada", "lamp")
        line.rolling.set()

        assert [result.verdict.name for result in line.plc.wait_for(1)] == ["FAULT"]


def test_the_latest_pause_is_in_force_and_resuming_ends_all(run: Run) -> None:
    with run() as line:
        actions(line).pause("Ada", "lamp")
        actions(line).pause("Bob", "camera")
        line.verdicts(1)
        actions(line).resume("Ada")
        verdicts = line.verdicts(2)

    assert verdicts == ["FAULT", "OK"]
    assert line.rows("SELECT fault FROM parts")[0] == ("paused by Bob: camera",)
    assert line.rows("SELECT end_who, ended IS NOT NULL FROM pauses") == [("Ada", 1), ("Ada", 1)]


def test_a_pause_whose_row_is_gone_goes_on_until_it_is_ended(run: Run) -> None:
    with run() as line:
        actions(line).pause("Ada", "lamp")
        with closing(sqlite3.connect(line.line.records)) as connection, connection:
            connection.execute("DELETE FROM pauses")
        actions(line).acknowledge("Ada", "the next poll")
        before = line.verdicts(1)
        actions(line).resume("Ada")

        assert (before, line.verdicts(2)) == (["FAULT"], ["FAULT", "OK"])


def test_a_pause_that_no_station_takes_is_withdrawn(run: Run, tmp_path: Path) -> None:
    with run() as line:
        pass
    with pytest.raises(OperatorRequestError, match="found no answer"):
        pause(line.line.records, "Ada", "lamp", taken_s=0.0)
    with pytest.raises(OperatorRequestError, match="found no such file"):
        resume(tmp_path / "none.sqlite", "Ada")

    assert line.rows("SELECT * FROM pauses") == []


def test_the_commands_pause_and_resume(run: Run) -> None:
    with run() as line:
        assert line.command("pause", "--reason", "lamp") == ""
        paused = line.verdicts(1)
        assert line.command("resume") == ""
        assert (paused, line.verdicts(2)) == (["FAULT"], ["FAULT", "OK"])


def test_actions_of_the_page_are_on_record_with_their_reasons(run: Run) -> None:
    with run() as line:
        prompt = actions(line).challenge("Ada", "start of the shift")
        said = actions(line).acknowledge("Bob", "part found")

    assert (prompt, said) == (
        "put 1 known bad part(s) on the line now, before any other part", "there was no such alarm",
    )  # fmt: skip
    assert line.rows("SELECT who, reason FROM challenges") == [("Ada", "start of the shift")]
    assert line.rows("SELECT who, reason FROM acknowledgements") == [("Bob", "part found")]


def test_each_route_of_the_operators_does_what_its_name_says(run: Run) -> None:
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    with run(page={"operator_token": "open sesame"}) as line:
        page = line.pages[0]
        line.runtime.alarms.raise_("part escaped the ejector", "part 7", Area.OUTPUT, 7)
        answers = [
            page.post("/api/pause", who="Ada", reason="lamp"),
            page.post("/api/resume", who="Bob"),
            page.post("/api/challenge", who="Cleo", reason="start of the shift"),
            page.post("/api/acknowledge", who="Dora", reason="part found"),
        ]

    assert [status for status, _ in answers] == [200] * 4
    assert line.rows("SELECT who, reason, end_who FROM pauses") == [("Ada", "lamp", "Bob")]
    assert line.rows("SELECT who, reason FROM challenges") == [("Cleo", "start of the shift")]
    assert line.rows("SELECT who, reason FROM acknowledgements") == [("Dora", "part found")]
    assert line.alarms == []
