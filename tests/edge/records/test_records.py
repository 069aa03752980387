"""Rows are on disk before their results are sent, and a disk that refuses them loses none."""

import gc
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Literal
from weakref import ref

import numpy as np
import pytest

from bundle import Defect, Verdict
from edge.cameras.camera import Frame
from edge.errors import RecordsError
from edge.part import Outcome, Part, View
from edge.records import database
from edge.records.database import advice, connect_existing, next_number, reading, version_of
from edge.records.writer import Records, WriteStatus

PATIENCE_S = 10.0
VERSION_1 = "36ee3abcc16d96f1682c39f737b217eee8390483cc0b66d18241c0d12abb2dd8"
"""Of the schema that the first edge-inspect wrote."""
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this machine does not let a user mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    return ballast


@pytest.mark.parametrize(
    ("without_disk", "kept", "verdict"), [("fault", WriteStatus.REFUSED, 5), ("memory", WriteStatus.IN_MEMORY, 1)]
)
def test_a_disk_that_is_really_full_loses_no_row(
    small_disk: Path, without_disk: Literal["fault", "memory"], kept: WriteStatus, verdict: int
) -> None:
    records = Records(small_disk / "records.sqlite", without_disk=without_disk)
    records.keep(settled(1), PATIENCE_S)
    ballast, number = fill(small_disk), 1
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


@pytest.mark.parametrize("content", [b"no database, but long enough to look like one" * 40])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.sqlite"
    path.write_bytes(content)

    with pytest.raises(RecordsError, match="not a database"):
        Records(path)
    assert path.read_bytes() == content


def test_records_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(RecordsError, match="found version 99, expected at most 6"):
        Records(path)
    with pytest.raises(RecordsError, match="found version 99, expected at most 6"), reading(path):
        pytest.fail("read")


@pytest.fixture
def of_version_1(tmp_path: Path) -> Path:
    """A database as the first edge-inspect wrote it, with a good and a bad part."""
    path = tmp_path / "records.sqlite"
    schema = (Path(database.__file__).parent / "schema" / "1.sql").read_text()
    assert sha256(schema.encode()).hexdigest() == VERSION_1, "schema/1.sql is history; write a new version instead"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(schema)
        for number, verdict in ((1, 1), (2, 2)):
            row = (number, "2026-05-04T12:00:00.000+00:00", number, 7, verdict, verdict, "", "id")
            connection.execute(
                "INSERT INTO parts (number, time, part_id, encoder, verdict, told, fault, bundle_id)"
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        connection.execute("INSERT INTO views VALUES (2, 'top', 5, 'top#5', 12, 16, NULL)")
        connection.execute("INSERT INTO defects VALUES (2, 'top', 'Dark', 0.9, 16, NULL, 1, 2, 3, 4)")
        connection.commit()
    return path


def test_records_of_version_1_are_brought_up_to_date_with_all_their_rows(of_version_1: Path) -> None:
    opened = Records(of_version_1, lambda: NOON)
    opened.keep(settled(3, Verdict.NG), PATIENCE_S)
    opened.note_ejection(3, "ejected")
    opened.close()

    assert rows(opened, "PRAGMA user_version") == [(6,)]
    assert rows(opened, "SELECT number, verdict, ejection, challenge FROM parts") == [
        (1, 1, None, None),
        (2, 2, None, None),
        (3, 2, "ejected", None),
    ]
    assert rows(opened, "SELECT class FROM defects") == [("Dark",)]
    assert rows(opened, "SELECT * FROM challenges") == []


def test_records_brought_up_to_date_have_the_tables_of_new_ones(of_version_1: Path, tmp_path: Path) -> None:
    old, new = Records(of_version_1), Records(tmp_path / "new.sqlite")
    old.close()
    new.close()

    query = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert rows(old, query) == rows(new, query)


def test_a_database_is_copied_before_it_is_migrated(of_version_1: Path) -> None:
    before = of_version_1.read_bytes()
    Records(of_version_1).close()

    with reading(of_version_1.with_name("records.sqlite.version-1")) as copy:
        assert version_of(copy) == 1
        assert copy.execute("SELECT number, verdict FROM parts").fetchall() == [(1, 1), (2, 2)]
    assert before != of_version_1.read_bytes()


def test_what_cannot_be_copied_is_not_migrated(of_version_1: Path) -> None:
    (of_version_1.parent / "records.sqlite.version-1.part").mkdir()

    with pytest.raises(RecordsError, match=r"version 1 cannot be copied to .*; free some space"):
        Records(of_version_1)
    with reading(of_version_1) as connection:
        assert version_of(connection) == 1


def test_only_the_station_makes_or_migrates_a_database(of_version_1: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="found no such file"):
        connect_existing(tmp_path / "none.sqlite")
    with pytest.raises(RecordsError, match="found version 1, expected 6; restart the station"):
        connect_existing(of_version_1)
    assert next_number(of_version_1) == 3

    assert not (tmp_path / "none.sqlite").exists()
    with reading(of_version_1) as connection:
        assert version_of(connection) == 1


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


def test_reading_changes_no_version(of_version_1: Path) -> None:
    with reading(of_version_1) as connection:
        assert version_of(connection) == 1


def test_a_step_that_fails_leaves_the_version_before(of_version_1: Path) -> None:
    with closing(sqlite3.connect(of_version_1)) as connection:
        connection.execute("CREATE TABLE challenges (another_program TEXT)")

    with pytest.raises(RecordsError, match="cannot be used"):
        Records(of_version_1)
    with reading(of_version_1) as connection:
        assert version_of(connection) == 1
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (2,)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RecordsError, match="check the path"):
        Records(tmp_path / "file" / "records.sqlite")
