"""No query that people, the page or the start of a station wait for grows with the records."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from bundle import Verdict
from edge.commands.doctor_checks import check_records
from edge.monitoring.operator_requests import acknowledgements_asked, challenges_asked, open_pause
from edge.page.history import History
from edge.page.part_queries import PartQuery, find_parts, picture_jpeg, recall
from edge.records.database import next_number, reading
from edge.records.export import TABLES, export
from edge.records.summary import closing_report, report
from edge.records.writer import Records
from edge.reports.agreement import challenge_parts
from edge.reports.shift import shift_report
from edge.review.marks import latest_marks, marks_of, row_of
from edge.review.queue import review_queue
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.part_doubles import DARK, judged

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)

LARGE = re.compile(r"SCAN (parts|views|defects|worst)(?! USING)")
"""A step that reads a whole table which grows with the parts."""
COUNTS_ALL = {"report", "doctor"}
"""Readers that count every part, from an index alone."""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """SQL statements of every connection that this process opens."""
    texts: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **keywords: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **keywords)
        connection.set_trace_callback(texts.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return texts


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Records of a few parts of each verdict."""
    opened = Records(tmp_path / "records.sqlite", lambda: NOON)
    for number, verdict in enumerate(Verdict, start=1):
        defects = (DARK,) if verdict is Verdict.NG else ()
        opened.keep(judged(number, verdict, [grey_frame()], tiny_manifest().sealed(), defects), 10.0)
    opened.note_picture(2, "camera0", "2026-05-04/reject/120000-2-camera0.png")
    opened.close()
    return opened.path


def ask(read: Callable[[sqlite3.Connection], object]) -> Callable[[Path], object]:
    """Let a reader work on an open connection."""

    def reader(path: Path) -> object:
        with reading(path) as connection:
            return read(connection)

    return reader


def exported(table: str) -> Callable[[Path], object]:
    """Export one table."""
    return lambda path: export(path, path.with_suffix(".csv"), table)


READERS: dict[str, Callable[[Path], object]] = {
    "report": report,
    "closing report": lambda path: closing_report(path, 1),
    "report of a shift": lambda path: shift_report(path, NOON - DAY, NOON + DAY),
    "start of a station": next_number,
    "start of the records": lambda path: Records(path).close(),
    "start of the page": lambda path: recall(History(), path, 10**9, NOON),
    **{f"export of {table}": exported(table) for table in TABLES},
    "doctor": check_records,
    "latest parts": lambda path: find_parts(path, PartQuery()),
    "parts of a verdict": lambda path: find_parts(path, PartQuery(verdict="NG", before=9)),
    "rejects without pauses": lambda path: find_parts(path, PartQuery(verdict="FAULT", with_pauses=False)),
    "parts of an id": lambda path: find_parts(path, PartQuery(part_id=102)),
    "parts of an hour": lambda path: find_parts(path, PartQuery(since=NOON - DAY, until=NOON + DAY)),
    "parts before a time": lambda path: find_parts(path, PartQuery(until=NOON + DAY)),
    "rejects of an hour": lambda path: find_parts(path, PartQuery(verdict="NG", since=NOON - DAY, until=NOON + DAY)),
    "a stored picture": lambda path: picture_jpeg(path, path.parent, 2, "camera0"),
    "marks": ask(lambda connection: list(latest_marks(connection))),
    "marks of a part": ask(lambda connection: marks_of(connection, 2)),
    "row of a part id": ask(lambda connection: row_of(connection, 102)),
    "row of a part id near a time": ask(lambda connection: row_of(connection, 102, "2026-05-04T12:00:00")),
    "review queue": ask(lambda connection: review_queue(connection, {"Dark": 0.5, "Bright": 0.5})),
    "known parts of challenges": ask(challenge_parts),
    "requests of operators": ask(
        lambda connection: (challenges_asked(connection), acknowledgements_asked(connection), open_pause(connection))
    ),
}


def plans(path: Path, read: Callable[[Path], object], statements: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each query of a reader with a step of its plan."""
    statements.clear()
    read(path)
    texts = tuple(statements)
    with closing(sqlite3.connect(path)) as connection:
        for text in texts:
            if text.startswith("CREATE TEMP VIEW"):
                connection.execute(text.replace("TEMP VIEW", "TEMP VIEW IF NOT EXISTS"))
            elif text.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE")):
                for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {text}"):
                    yield text, step


@pytest.mark.parametrize("name", READERS)
def test_a_reader_uses_an_index(name: str, records: Path, statements: list[str]) -> None:
    found = list(plans(records, READERS[name], statements))

    assert found
    for query, step in found:
        assert not LARGE.search(step), query
        if "SCAN parts USING" in step:
            assert name in COUNTS_ALL, query
            assert "COVERING INDEX" in step, query


def test_a_query_without_an_index_is_seen(records: Path, statements: list[str]) -> None:
    slow = ask(lambda connection: connection.execute("SELECT * FROM parts WHERE fault = 'x'").fetchall())

    assert any(LARGE.search(step) for _, step in plans(records, slow, statements))
