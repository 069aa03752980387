"""One station writes a database; a row that cannot be written stops no other; a file that is pulled away is noticed."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundle import Verdict
from edge.errors import RecordsError
from edge.part import Outcome, Part
from edge.records.database import connect_existing, reading
from edge.records.pending_write import WriteStatus
from edge.records.writer import Records
from tests.edge.small_disk import fill_up

PATIENCE_S = 10.0


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(tmp_path / "line" / "records.sqlite")
    yield opened
    opened.close()


def settled(number: int, verdict: Verdict = Verdict.OK, fault: str = "") -> Part:
    part = Part(number, part_id=number + 100, encoder=0, triggered=0.0, deadline=1.0)
    part.settle(Outcome(verdict, fault=fault))
    return part


def numbers(path: Path) -> list[tuple[int, int]]:
    with reading(path) as connection:
        return connection.execute("SELECT number, verdict FROM parts ORDER BY number").fetchall()


def foreign_row(path: Path, number: int) -> None:
    with closing(connect_existing(path)) as connection:
        connection.execute(
            "INSERT INTO parts (number, time, part_id, encoder, verdict, told, fault, bundle_id) "
            "VALUES (?, '2026', 7, 0, 1, 1, '', 'foreign')",
            (number,),
        )


def refused(records: Records) -> list[dict[str, object]]:
    return [json.loads(line) for line in records.refused_rows.read_text().splitlines()]


def test_two_stations_cannot_write_the_same_records(records: Records) -> None:
    with pytest.raises(RecordsError, match=f"in use by process {os.getpid()}, expected no other station"):
        Records(records.path)

    records.keep(settled(1), PATIENCE_S)
    assert numbers(records.path) == [(1, 1)]


def test_records_that_a_killed_station_held_are_free(tmp_path: Path) -> None:
    (tmp_path / "records.sqlite.lock").write_text("4711\n")

    Records(tmp_path / "records.sqlite").close()


def test_a_row_that_cannot_be_written_stops_no_other(records: Records) -> None:
    foreign_row(records.path, 2)
    first, clash, third = settled(1), settled(2), settled(3)
    kept = [records.keep(part, PATIENCE_S) for part in (first, clash, third)]
    records.note_delivery(clash, "undelivered")
    records.keep(settled(4), PATIENCE_S)

    assert kept == [WriteStatus.WRITTEN, WriteStatus.REFUSED, WriteStatus.WRITTEN]
    assert clash.outcome is not None
    assert clash.outcome.verdict is Verdict.FAULT
    assert numbers(records.path) == [(1, 1), (2, 1), (3, 1), (4, 1)]
    with reading(records.path) as connection:
        assert connection.execute("SELECT bundle_id, link FROM parts WHERE number = 2").fetchone() == (
            "foreign",
            "open",
        )
    row, update = refused(records)
    assert (row["number"], update["number"]) == (2, 2)
    assert "UNIQUE" in str(row["reason"])
    assert records.rows_refused == 2
    assert (records.refusal, records.trouble) == ("", "")


def test_after_a_clash_numbers_go_on_behind_the_foreign_rows(records: Records) -> None:
    foreign_row(records.path, 50)
    foreign_row(records.path, records.last_number + 1)
    records.keep(settled(records.new_number()), PATIENCE_S)

    assert records.new_number() == 51


@pytest.mark.parametrize("fault", ["a name with a lone surrogate \udc80", "\ud800"])
def test_a_text_that_is_no_unicode_stops_no_other(records: Records, fault: str) -> None:
    bad = settled(1, Verdict.TIMEOUT, fault)

    assert records.keep(bad, PATIENCE_S) is WriteStatus.REFUSED
    assert records.keep(settled(2), PATIENCE_S) is WriteStatus.WRITTEN
    assert [row["number"] for row in refused(records)] == [1]


def test_a_number_beyond_sqlites_stops_no_other(records: Records) -> None:
    assert records.keep(settled(2**63), PATIENCE_S) is WriteStatus.REFUSED
    assert records.keep(settled(1), PATIENCE_S) is WriteStatus.WRITTEN


def test_a_side_file_that_cannot_be_written_keeps_the_row_in_memory(records: Records) -> None:
    records.refused_rows.mkdir()
    foreign_row(records.path, 1)

    assert records.keep(settled(1), PATIENCE_S) is WriteStatus.REFUSED
    assert records.waiting == 1
    records.refused_rows.rmdir()
    records.keep(settled(2), PATIENCE_S)
    assert records.close() == 0
    assert records.refusal == ""
    assert [row["number"] for row in refused(records)] == [1]
    assert [number for number, _ in numbers(records.path)] == [1, 2]


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def delete_file(path: Path) -> None:
    path.unlink()


def delete_wal(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def replace_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(path.with_name("copy"))) as copy:
        connection.backup(copy)
    path.with_name("copy").replace(path)


def truncate_file(path: Path) -> None:
    os.truncate(path, 0)
    path.with_name(path.name + "-wal").unlink()


@pytest.mark.parametrize("pull", [delete_folder, delete_file, delete_wal, replace_file, truncate_file])
@pytest.mark.filterwarnings("error")
def test_records_that_are_pulled_away_make_a_fault_and_are_opened_again(records: Records, pull: object) -> None:
    assert callable(pull)
    records.keep(settled(1), PATIENCE_S)
    pull(records.path)
    first = settled(2)
    kept = records.keep(first, PATIENCE_S)
    later = [settled(number) for number in range(3, 6)]
    written = [records.keep(part, PATIENCE_S) for part in later]

    assert kept is WriteStatus.REFUSED
    assert first.outcome is not None
    assert first.outcome.verdict is Verdict.FAULT
    assert written[-1] is WriteStatus.WRITTEN
    assert records.replacements == 1
    assert [row for row in numbers(records.path) if row[0] >= 2][-4:] == [
        (2, 5),
        *((part.number, int(part.outcome.verdict)) for part in later if part.outcome),
    ]


def test_records_on_a_full_disk_are_refused_by_name_and_not_locked(small_disk: Path) -> None:
    path = small_disk / "records.sqlite"
    ballast = fill_up(small_disk)
    with pytest.raises(RecordsError, match=f"records {path}: cannot be opened .*No space left on device"):
        Records(path)
    ballast.unlink()

    Records(path).close()


def test_nothing_is_wrong_while_the_file_is_checkpointed(records: Records) -> None:
    for number in range(1, 50):
        assert records.keep(settled(number), PATIENCE_S) is WriteStatus.WRITTEN
        with closing(connect_existing(records.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert records.replacements == 0


class Unexpected:
    """A value that no error of SQLite stands for."""

    def __conform__(self, protocol: object) -> str:
        raise KeyError("no such adapter")


def test_a_writing_thread_that_fails_makes_every_part_a_fault(
    records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    records._update(0, "UPDATE parts SET link = ?", Unexpected())  # kept as the queue would keep it
    records._thread.join(10.0)
    after = [settled(1), settled(2)]
    status = [records.keep(part, 5.0) for part in after]

    assert status == [WriteStatus.REFUSED] * 2
    assert [part.outcome.verdict for part in after if part.outcome] == [Verdict.FAULT] * 2
    assert isinstance(records.failure, KeyError)
    assert "the thread that writes rows failed (KeyError" in records.trouble
    assert "the thread that writes them failed" in caplog.text


def test_rows_of_a_disk_that_hangs_are_faults_after_a_few(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.sqlite", late_rows=2)
    with closing(sqlite3.connect(records.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the disk hangs
        hanging = [settled(number) for number in range(1, 6)]
        status = [records.keep(part, 0.0) for part in hanging]
        trouble = records.trouble
        other.execute("COMMIT")
    again = next(number for number in range(6, 100_000) if records.keep(settled(number), 10.0) is WriteStatus.WRITTEN)
    records.close()

    assert status == [WriteStatus.LATE] * 2 + [WriteStatus.REFUSED] * 3
    assert trouble.startswith("the disk is too slow or hangs; every part is FAULT")
    assert records.trouble == ""
    assert numbers(records.path)[:5] == [(1, 1), (2, 1), (3, 5), (4, 5), (5, 5)]
    assert len(numbers(records.path)) == again


@pytest.mark.parametrize("late_rows", [0, 1, 3])
def test_parts_that_were_open_when_the_disk_began_to_hang_do_not_exceed_the_late_rows(
    tmp_path: Path, late_rows: int
) -> None:
    records = Records(tmp_path / "r.sqlite", late_rows=late_rows)
    with closing(sqlite3.connect(records.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the disk hangs, also with the first row in the writer's hands
        parts = [settled(number) for number in range(1, 9)]
        rows = [records.begin(part) for part in parts]
        status = [records.wait(row, 0.0) for row in rows]
        trouble = records.trouble
        other.execute("COMMIT")
    records.close()

    told = [part.outcome.verdict for part in parts if part.outcome]
    assert status == [WriteStatus.LATE] * late_rows + [WriteStatus.REFUSED] * (8 - late_rows)
    assert told == [Verdict.OK] * late_rows + [Verdict.FAULT] * (8 - late_rows)
    assert "every part is FAULT" in trouble
    assert numbers(records.path) == [(part.number, int(verdict)) for part, verdict in zip(parts, told, strict=True)]
    assert records.trouble == ""
