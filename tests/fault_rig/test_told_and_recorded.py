"""A killed station: what the PLC was told of each part and what is on record, also while the disk hangs."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from bundle import Verdict as Judged
from edge.part import Outcome, Part
from edge.records.database import connect
from edge.records.rows import statements_of
from firmware_bridge.messages import Result, Trigger, Verdict
from firmware_bridge.parts import PartFate, PartRecord
from firmware_bridge.simulator.plc import PlcSimulator
from tools.fault_rig.results.told_and_recorded import compare

ROOT = Path(__file__).resolve().parents[2]
LATE_ROWS, PATIENCE_S = 2, 60.0
STATION = """
import sys
sys.path[:0] = [{root!r}]
from edge.cli import main
main(["run", {line!r}])
"""


def told(part_id: int, verdict: Verdict, decision: PartFate = PartFate.REJECTED) -> PartRecord:
    result = None if verdict is Verdict.NONE else Result(part_id=part_id, encoder=0, verdict=verdict)
    return PartRecord(Trigger(part_id=part_id, encoder=0), 0.0, 1.0, result, decision)


def parts(*found: PartRecord) -> dict[int, PartRecord]:
    return {part.trigger.part_id: part for part in found}


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., Path]:
    def write(**verdicts: Judged) -> Path:
        with closing(connect(tmp_path / "r.sqlite")) as connection:
            for name, verdict in verdicts.items():
                part = Part(int(name[1:]), int(name[1:]), encoder=0, triggered=0.0, deadline=1.0, time="2026")
                part.settle(Outcome(verdict))
                for statement, values in statements_of(part):
                    connection.execute(statement, values)
        return tmp_path / "r.sqlite"

    return write


def test_rows_that_agree_are_no_problem(rows: Callable[..., Path]) -> None:
    database = rows(_1=Judged.OK, _2=Judged.NG, _3=Judged.OK)
    life = parts(told(1, Verdict.OK, PartFate.PASSED), told(2, Verdict.NG), told(3, Verdict.NONE))
    found = compare(database, [life], late_rows=0)

    assert found.problems == []
    assert (found.triggered, found.told, found.passed, found.rows, found.rows_not_told) == (3, 2, 1, 3, 1)


def test_late_rows_are_counted_for_each_life(rows: Callable[..., Path]) -> None:
    lives = [parts(*(told(part_id, Verdict.OK) for part_id in life)) for life in ((1, 2), (3, 4, 5))]
    found = compare(rows(), lives, late_rows=2)

    assert found.ok_without_row == [2, 3]
    assert found.problems == ["life 2: found 3 parts OK without row, expected 2 at most"]


@pytest.mark.parametrize(
    ("row", "verdict", "problem"),
    [
        (Judged.NG, Verdict.OK, "told OK, on record [2]"),
        (Judged.OK, Verdict.NG, "told NG, on record [1]"),
        (Judged.FAULT, Verdict.TIMEOUT, "told TIMEOUT, on record [5]"),
    ],
)
def test_a_row_that_differs_from_its_result_is_a_problem(
    rows: Callable[..., Path], row: Judged, verdict: Verdict, problem: str
) -> None:
    (found,) = compare(rows(_1=row), [parts(told(1, verdict))], late_rows=8).problems

    assert problem in found


def test_one_fault_a_kill_may_be_recorded_ok(rows: Callable[..., Path]) -> None:
    database = rows(_1=Judged.OK, _2=Judged.OK)

    assert compare(database, [parts(told(1, Verdict.FAULT))], late_rows=0).problems == []
    (problem,) = compare(database, [parts(told(1, Verdict.FAULT), told(2, Verdict.FAULT))], late_rows=0).problems
    assert "found 2 parts rejected, recorded OK, expected 1 at most" in problem


def test_a_part_that_waits_is_a_problem(rows: Callable[..., Path]) -> None:
    life = parts(told(1, Verdict.NONE, PartFate.WAITING))

    assert compare(rows(), [life], late_rows=0).problems == ["part 1 was never decided"]


def test_a_station_killed_while_its_disk_hangs_owes_no_more_than_the_late_rows(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    line = tmp_path / "line.toml"
    with PlcSimulator(10**9, rate_hz=20, max_open=4, deadline_s=PATIENCE_S) as plc:
        line.write_text(
            f'bundle = "{make_bundle()}"\nplc = "{plc.address}"\ncamera = [{{ address = "synthetic://" }}]\n'
            f"deadline_ms = 30000\ngrab_timeout_ms = 20000\nrecord_wait_ms = 20\nlate_rows = {LATE_ROWS}\n"
        )
        script = STATION.format(root=str(ROOT), line=str(line))
        with (tmp_path / "log").open("w") as log:
            station = subprocess.Popen([sys.executable, "-c", script], stdout=log, stderr=log)
        try:
            wait_for(plc, lambda verdicts: verdicts.count(Verdict.OK) >= 3, tmp_path / "log")
            with closing(sqlite3.connect(tmp_path / "records.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # the disk hangs
                wait_for(plc, lambda verdicts: verdicts.count(Verdict.FAULT) >= 3, tmp_path / "log")
                wait_for(plc, lambda _: "DISK" in plc.alarms.names, tmp_path / "log")
                station.send_signal(signal.SIGKILL)
                station.wait()
                other.execute("ROLLBACK")
        finally:
            station.kill()
            station.wait()
        plc.pace(0)
        answered = {part.trigger.part_id: part for part in plc.records() if part.verdict is not Verdict.NONE}
    found = compare(tmp_path / "records.sqlite", [answered], LATE_ROWS)

    assert found.problems == []
    assert found.ok_without_row[0] <= LATE_ROWS
    assert found.rejected_without_row + found.rejected_recorded_ok >= 3


def wait_for(plc: PlcSimulator, condition: Callable[[list[Verdict]], bool], log: Path) -> None:
    last_moment = monotonic() + PATIENCE_S
    while not condition([part.verdict for part in plc.records()]):
        assert monotonic() < last_moment, log.read_text()
        plc.wait(0.05)
