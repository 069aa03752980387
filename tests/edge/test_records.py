"""Rows are on disk before their results are sent, and a disk that refuses them loses none."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bundle import Defect, Verdict
from edge.errors import RecordsError
from edge.part import Outcome, Part
from edge.records import Kept, Records, next_number

PATIENCE_S = 10.0
NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(tmp_path / "records.sqlite", lambda: NOON)
    yield opened
    opened.close()


def settled(number: int, verdict: Verdict = Verdict.OK, defects: tuple[Defect, ...] = ()) -> Part:
    part = Part(number, part_id=number + 100, encoder=number * 10, triggered=0.0, deadline=1.0)
    part.settle(Outcome(verdict, defects))
    return part


def rows(records: Records, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(records.path)) as connection:
        return connection.execute(query).fetchall()


def fill_disk(records: Records) -> None:
    """Let SQLite refuse to grow the file, with the very error of a full disk (SQLITE_FULL)."""
    records._connection.execute("PRAGMA max_page_count = 1")


def free_disk(records: Records) -> None:
    records._connection.execute("PRAGMA max_page_count = 1000000")


def keep_until_refused(records: Records) -> Part:
    """Keep parts until the last page is full."""
    for number in range(1, 500):
        part = settled(number)
        if records.keep(part, PATIENCE_S) is Kept.REFUSED:
            return part
    pytest.fail("the disk never refused a row")


def test_a_row_is_on_disk_when_keep_returns(records: Records) -> None:
    defect = Defect(1, "Dark", 0.75, 16.0, (1, 2, 3, 4))

    kept = records.keep(settled(1, Verdict.NG, (defect,)), PATIENCE_S)

    assert kept is Kept.WRITTEN
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

    assert refused is Kept.REFUSED
    assert left == 0
    assert rows(records, f"SELECT number, verdict FROM parts WHERE number >= {first.number} AND verdict = 5") == [
        (first.number, 5),
        (second.number, 5),
        *([(third.number, 5)] if third.outcome and third.outcome.verdict is Verdict.FAULT else []),
    ]
    assert rows(records, "SELECT count(*) FROM parts") == [(third.number,)]


def test_rows_that_never_reached_the_disk_are_counted_at_the_end(records: Records) -> None:
    fill_disk(records)
    keep_until_refused(records)

    assert records.close() == 1


def test_without_time_to_wait_the_result_goes_out_and_the_row_follows(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.sqlite")
    with closing(sqlite3.connect(records.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # somebody else is writing
        kept = records.keep(settled(1), wait_s=0.001)
        other.execute("COMMIT")
    left = records.close()

    assert kept is Kept.LATE
    assert (left, records.late) == (0, 1)
    assert rows(records, "SELECT verdict FROM parts") == [(1,)]


def test_numbers_go_on_where_they_stopped(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    assert next_number(path) == 1
    records = Records(path)
    records.keep(settled(41), PATIENCE_S)
    records.close()

    assert next_number(path) == 42


@pytest.mark.parametrize("content", [b"no database, but long enough to look like one" * 40])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.sqlite"
    path.write_bytes(content)

    with pytest.raises(RecordsError, match="not a database"):
        Records(path)
    assert path.read_bytes() == content


def test_records_of_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(RecordsError, match="found version 99, expected 1"):
        Records(path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RecordsError, match="check the path"):
        Records(tmp_path / "file" / "records.sqlite")
