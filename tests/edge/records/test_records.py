"""Rows are on disk before their results are sent, and a disk that refuses them loses none."""

import gc
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal
from weakref import ref

import numpy as np
import pytest

from bundle import Defect, Verdict
from edge.cameras.camera import Frame
from edge.part import Part, View
from edge.records.database import advice, next_number
from edge.records.pending_write import WriteStatus
from edge.records.writer import Records
from tests.edge.records.conftest import NOON, PATIENCE_S, rows, settled
from tests.edge.small_disk import fill_up


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(tmp_path / "records.sqlite", lambda: NOON)
    yield opened
    opened.close()


def fill_disk(records: Records) -> None:
    """Let SQLite refuse to grow the file, with the very error of a full disk (SQLITE_FULL)."""
    records._file.connection.execute("PRAGMA max_page_count = 1")


def free_disk(records: Records) -> None:
    records._file.connection.execute("PRAGMA max_page_count = 1000000")


def keep_until_refused(records: Records) -> Part:
    """Keep parts until the last page is full."""
    for number in range(1, 500):
        part = settled(number)
        if records.keep(part, PATIENCE_S) is WriteStatus.REFUSED:
            return part
    pytest.fail("the disk never refused a row")


def test_a_row_is_on_disk_when_keep_returns(records: Records) -> None:
    defect = Defect(1, "Dark", 0.75, 16.0, (1, 2, 3, 4))

    kept = records.keep(settled(1, Verdict.NG, (defect,)), PATIENCE_S)

    assert kept is WriteStatus.WRITTEN
    assert rows(records, "SELECT number, time, part_id, encoder, verdict, class, score, area_px, link FROM parts") == [
        (1, "2026-05-04T12:00:00.000+00:00", 101, 10, 2, "Dark", 0.75, 16.0, "open")
    ]


def test_a_part_that_is_not_settled_has_no_row(records: Records) -> None:
    with pytest.raises(ValueError, match="no verdict yet"):
        records.keep(Part(1, 1, 1, 0.0, 1.0), 0)


def test_a_full_disk_makes_the_part_a_fault(records: Records) -> None:
    fill_disk(records)

    part = keep_until_refused(records)

    assert part.outcome is not None
    assert part.outcome.verdict is Verdict.FAULT
    assert "full" in part.outcome.fault


def test_no_row_is_lost_when_the_disk_takes_rows_again(records: Records) -> None:
    fill_disk(records)
    first = keep_until_refused(records)
    second = settled(first.number + 1)
    refused = records.keep(second, PATIENCE_S)
    free_disk(records)
    third = settled(first.number + 2)
    records.keep(third, PATIENCE_S)
    left = records.close()

    assert refused is WriteStatus.REFUSED
    assert left == 0
    assert rows(records, f"SELECT number, verdict FROM parts WHERE number >= {first.number} AND verdict = 5") == [
        (first.number, 5),
        (second.number, 5),
        *([(third.number, 5)] if third.outcome and third.outcome.verdict is Verdict.FAULT else []),
    ]
    assert rows(records, "SELECT count(*) FROM parts") == [(third.number,)]


@pytest.mark.parametrize(
    ("without_disk", "kept", "verdict"), [("fault", WriteStatus.REFUSED, 5), ("memory", WriteStatus.IN_MEMORY, 1)]
)
def test_a_disk_that_is_really_full_loses_no_row(
    small_disk: Path, without_disk: Literal["fault", "memory"], kept: WriteStatus, verdict: int
) -> None:
    records = Records(small_disk / "records.sqlite", without_disk=without_disk)
    records.keep(settled(1), PATIENCE_S)
    ballast, number = fill_up(small_disk), 1
    found = WriteStatus.WRITTEN
    while found is WriteStatus.WRITTEN:  # the file has some room within its pages
        number += 1
        found = records.keep(settled(number), PATIENCE_S)
    trouble = records.trouble
    for _ in range(5):
        number += 1
        assert records.keep(settled(number), PATIENCE_S) is kept
    ballast.unlink()
    left = records.close()

    assert (found, left, records.lost) == (kept, 0, 0)
    assert ("parts continue" in trouble) is (without_disk == "memory")
    assert ("every part is FAULT" in trouble) is (without_disk == "fault")
    assert rows(records, f"SELECT number, verdict FROM parts WHERE number > {number - 6}") == [
        (number - place, verdict) for place in reversed(range(6))
    ]
    assert rows(records, "SELECT count(*) FROM parts") == [(number,)]


def test_memory_holds_a_limited_number_of_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = Records(tmp_path / "records.sqlite", without_disk="memory", entries_in_memory=100, late_rows=1000)
    with closing(sqlite3.connect(records.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the disk hangs
        found = [records.keep(settled(number), wait_s=0) for number in range(1, 121)]
        beyond = settled(121)
        records.keep(beyond, wait_s=0)
        trouble = records.trouble
        other.execute("COMMIT")
    left = records.close()

    assert found == [WriteStatus.LATE] * 100 + [WriteStatus.LOST] * 20
    assert beyond.outcome is not None
    assert beyond.outcome.verdict is Verdict.FAULT
    assert "memory is full" in trouble
    assert (left, records.lost, records.trouble) == (0, 21, "")
    assert rows(records, "SELECT count(*), min(verdict), max(verdict) FROM parts") == [(100, 1, 1)]
    assert len([said for said in caplog.messages if "memory is full" in said]) == 1


def test_a_part_beyond_the_room_in_memory_is_a_fault_even_where_parts_go_on(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.sqlite", without_disk="memory", entries_in_memory=1)
    fill_disk(records)
    number = 1
    while records.keep(settled(number), PATIENCE_S) is not WriteStatus.IN_MEMORY:
        number += 1
    beyond = settled(number + 1)
    kept = records.keep(beyond, PATIENCE_S)
    free_disk(records)
    records.close()

    assert kept is WriteStatus.LOST
    assert beyond.outcome is not None
    assert beyond.outcome.verdict is Verdict.FAULT


def test_a_row_that_waits_for_the_disk_holds_no_frame(records: Records) -> None:
    fill_disk(records)
    keep_until_refused(records)
    part = settled(1000)
    part.views = (View("top", 1, Frame(np.zeros((8, 8), np.uint8), 1, 0.0, "")),)
    frame = ref(part.views[0].frame)
    records.keep(part, PATIENCE_S)
    del part
    gc.collect()

    assert frame() is None


def test_a_row_has_the_time_of_its_trigger(records: Records) -> None:
    part = settled(1)
    part.time = "2026-05-04T11:59:59.500+00:00"
    records.keep(part, PATIENCE_S)

    assert rows(records, "SELECT time FROM parts") == [("2026-05-04T11:59:59.500+00:00",)]


def test_rows_that_never_reached_the_disk_are_counted_at_the_end(records: Records) -> None:
    fill_disk(records)
    keep_until_refused(records)

    assert records.close() == 1


def test_without_time_to_wait_the_result_goes_out_and_the_row_follows(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.sqlite")
    with closing(sqlite3.connect(records.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # another process is writing
        kept = records.keep(settled(1), wait_s=0.001)
        other.execute("COMMIT")
    left = records.close()

    assert kept is WriteStatus.LATE
    assert (left, records.late) == (0, 1)
    assert rows(records, "SELECT verdict FROM parts") == [(1,)]


def test_numbers_go_on_where_they_stopped(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    assert next_number(path) == 1
    records = Records(path)
    records.keep(settled(41), PATIENCE_S)
    records.close()

    assert next_number(path) == 42


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT number FROM parts WHERE time >= '2026' ORDER BY time LIMIT 1", "parts_by_time"),
        ("SELECT * FROM parts WHERE number < 9 AND part_id = 3 ORDER BY number DESC LIMIT 50", "parts_by_part_id"),
        ("SELECT * FROM parts WHERE number < 9 AND verdict = 3 ORDER BY number DESC LIMIT 50", "parts_by_verdict"),
        ("SELECT verdict, class, link, count(*) FROM parts GROUP BY 1, 2, 3", "COVERING INDEX parts_by_result"),
    ],
)
def test_what_people_wait_for_uses_an_index(records: Records, query: str, index: str) -> None:
    steps = " ".join(str(step) for *_, step in rows(records, f"EXPLAIN QUERY PLAN {query}"))

    assert index in steps
    assert "TEMP B-TREE" not in steps


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("database or disk is full", "free some space"),
        ("attempt to write a readonly database", "mounted read-only"),
        ("database is locked", "another program holds the file"),
        ("no such table: parts", "another program has changed the tables"),
        ("disk I/O error", "check the disk"),
        ("something new", "check the disk and the file"),
    ],
)
def test_each_error_has_the_advice_of_its_cause(problem: str, words: str) -> None:
    assert words in advice(sqlite3.OperationalError(problem))
