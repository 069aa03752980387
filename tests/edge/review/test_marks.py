"""Marks stay beside the verdicts, are only ever added, and fit their parts."""

import sqlite3
from contextlib import closing

import pytest

from bundle import Verdict
from edge.errors import MarkError
from edge.records.database import connect_existing, reading
from edge.review.marks import Mark, MarkedDefect, add_mark, latest_marks, marks_of, row_of
from tests.edge.review.conftest import ESCAPE, FALSE_REJECT, GOOD, REJECT, ReviewedStation

SQUARE = ((2, 4), (5, 4), (5, 7), (2, 7))


def test_the_latest_mark_counts_and_the_verdict_stays(station: ReviewedStation) -> None:
    drawn = MarkedDefect("camera0", "Dark", (SQUARE,))
    assert add_mark(station.records, Mark(ESCAPE, "unclear", "Ada")) == 1
    assert add_mark(station.records, Mark(ESCAPE, "defective", "Ada", (drawn,), "faint")) == 2
    assert add_mark(station.records, Mark(FALSE_REJECT, "good", "Bert")) == 3
    with reading(station.records) as connection:
        assert [stored.mark for stored in latest_marks(connection)] == [
            Mark(ESCAPE, "defective", "Ada", (drawn,), "faint"),
            Mark(FALSE_REJECT, "good", "Bert"),
        ]
        assert [stored.mark.truth for stored in marks_of(connection, ESCAPE)] == ["unclear", "defective"]
        verdict = connection.execute("SELECT verdict FROM parts WHERE number = ?", (ESCAPE,)).fetchone()
        assert verdict == (Verdict.OK.value,)


@pytest.mark.parametrize("statement", ["UPDATE marks SET truth = 'good'", "DELETE FROM marks",
    "UPDATE marked_defects SET class = 'x'", "DELETE FROM marked_defects",
    "INSERT OR REPLACE INTO marks SELECT number, time, 'Bob', part, 'good', note, sampled FROM marks",
    "REPLACE INTO marked_defects (rowid, mark, camera, class, outline) SELECT rowid, mark, camera, 'x', outline "
    "FROM marked_defects"])  # fmt: skip
def test_marks_are_neither_changed_nor_deleted(station: ReviewedStation, statement: str) -> None:
    add_mark(station.records, Mark(ESCAPE, "defective", "Ada", (MarkedDefect("camera0", "Dark"),)))
    with (
        closing(connect_existing(station.records)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="marks are not"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (Mark(99, "good", "Ada"), "row 99: found no such part"),
        (Mark(GOOD, "defective", "Ada"), "found 0 classes for a part that is defective"),
        (Mark(GOOD, "good", "Ada", (MarkedDefect("camera0", "Dark"),)), "found 1 classes for a part that is good"),
        (Mark(GOOD, "good", " "), "who: found ' '"),
        (Mark(GOOD, "good", "Ada", note="a\nb"), "note: found 'a\\nb'"),
        (Mark(GOOD, "defective", "Ada", (MarkedDefect("top", "Dark"),)), "found the camera 'top', expected one of"),
        (Mark(GOOD, "defective", "Ada", (MarkedDefect("camera0", ""),)), "class ''"),
        (Mark(GOOD, "defective", "Ada", (MarkedDefect("camera0", "Dark", (((0, 0), (12, 3), (1, 1)),)),)),
         "found the corner (12, 3), expected corners inside the frame of 12x16"),
        (Mark(GOOD, "defective", "Ada", (MarkedDefect("camera0", "Dark", (((0, 0), (1, 3)),)),)), "fewer than 3"),
    ],
)  # fmt: skip
def test_a_mark_that_does_not_fit_is_one_clear_error(station: ReviewedStation, mark: Mark, message: str) -> None:
    with pytest.raises(MarkError) as caught:
        add_mark(station.records, mark)
    assert message in str(caught.value)
    with reading(station.records) as connection:
        assert list(latest_marks(connection)) == []


def test_parts_are_found_by_their_id(station: ReviewedStation) -> None:
    with reading(station.records) as connection:
        assert row_of(connection, REJECT + 100) == REJECT
        assert row_of(connection, REJECT + 100, "2026-05-04T12:00") == REJECT
        with pytest.raises(MarkError, match="found no part with the id 7"):
            row_of(connection, 7)
        for time in ("yesterday", "12", "2026-05-04Tnoon"):
            with pytest.raises(MarkError, match=f"found the time '{time}', expected UTC in ISO 8601"):
                row_of(connection, REJECT + 100, time)
