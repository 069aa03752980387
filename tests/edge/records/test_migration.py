"""Databases of earlier versions, foreign files and folders without write access."""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from bundle import Verdict
from edge.errors import RecordsError
from edge.records import database
from edge.records.database import VERSION, connect_existing, next_number, reading, version_of
from edge.records.writer import Records
from tests.edge.records.conftest import NOON, PATIENCE_S, rows, settled

VERSION_1 = "36ee3abcc16d96f1682c39f737b217eee8390483cc0b66d18241c0d12abb2dd8"
"""Of the schema that the first edge-inspect wrote."""


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

    with pytest.raises(RecordsError, match=f"found version 99, expected at most {VERSION}"):
        Records(path)
    with pytest.raises(RecordsError, match=f"found version 99, expected at most {VERSION}"), reading(path):
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

    assert rows(opened, "PRAGMA user_version") == [(VERSION,)]
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
    with pytest.raises(RecordsError, match=f"found version 1, expected {VERSION}; restart the station"):
        connect_existing(of_version_1)
    assert next_number(of_version_1) == 3

    assert not (tmp_path / "none.sqlite").exists()
    with reading(of_version_1) as connection:
        assert version_of(connection) == 1


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


def test_the_documents_have_the_version() -> None:
    text = (Path(__file__).parents[3] / "docs" / "production.md").read_text(encoding="utf-8")

    assert f"`PRAGMA user_version` is {VERSION}." in text
    assert f"found version {VERSION + 1},\nexpected at most {VERSION};" in text


@pytest.mark.parametrize(
    ("table", "columns", "values"),
    [
        ("releases", "number, time, who, action, before, after", "1, '', ?, 'release', '', 'ab'"),
        ("accesses", "number, time, event, who, address, detail", "1, '', 'log-in', ?, '', ''"),
    ],
)
def test_rows_that_are_only_added_are_not_replaced(table: str, columns: str, values: str, tmp_path: Path) -> None:
    Records(tmp_path / "records.sqlite").close()
    with closing(connect_existing(tmp_path / "records.sqlite")) as connection:
        connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})", ("Ada",))
        with pytest.raises(sqlite3.IntegrityError, match=f"{table} are not changed"):
            connection.execute(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({values})", ("Bob",))
        connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({values.replace('1', 'NULL', 1)})", ("Bob",))

        assert connection.execute(f"SELECT who FROM {table}").fetchall() == [("Ada",), ("Bob",)]
