"""Reports show a bounded number of parts, in memory and time that do not grow with the table."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from edge.records.database import connect
from edge.records.summary import LATEST, closing_report, latencies_ms, report

EARLIER = 500


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with slow parts, then `LATEST` quick ones, the last of them without a frame and named like mark-up."""
    made = tmp_path_factory.mktemp("summary") / "records.sqlite"
    columns = "number, time, part_id, encoder, verdict, told, fault, bundle_id, frame_us, sent_us, link"
    with closing(connect(made)) as connection:
        connection.execute("BEGIN")
        for first, last, frame_us in ((1, EARLIER, 900_000), (EARLIER + 1, EARLIER + LATEST, 1000)):
            connection.executemany(
                f"INSERT INTO parts ({columns}) VALUES (?, '2026', 1, 1, 1, 1, '', 'id', ?, ?, 'acknowledged')",
                ((number, frame_us, frame_us + number % 100) for number in range(first, last + 1)),
            )
        connection.execute("UPDATE parts SET frame_us = NULL, verdict = 2, class = '[/red]' WHERE number = ?", (last,))
        connection.execute("COMMIT")
    return made


def printed(tables: tuple[Table, ...]) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(*tables)
    return captured.get()


def test_a_report_counts_all_parts_and_times_the_latest(path: Path) -> None:
    words = printed(report(path))

    assert str(EARLIER + LATEST - 1) in words
    assert f"Latency of the latest {LATEST} parts" in words
    assert "900" not in words


def test_a_class_that_is_named_like_mark_up_is_printed_as_it_is(path: Path) -> None:
    assert "[/red]" in printed(report(path))


def test_the_closing_report_shows_the_run_up_to_a_number_of_parts(path: Path) -> None:
    whole = printed(closing_report(path, EARLIER + LATEST - 9))
    latest = printed(closing_report(path, 1))

    assert "The latest" not in whole
    assert "9" in whole
    assert f"The latest {LATEST} of the {LATEST + EARLIER} parts of this run" in latest


def test_percentiles_are_over_the_parts_that_reached_the_stage(path: Path) -> None:
    found = latencies_ms(path, EARLIER + LATEST - 100)

    assert set(found) == {"trigger to frame", "frame to result"}
    assert found["trigger to frame"] == pytest.approx((1.0, 1.0, 1.0, 1.0))
    assert found["frame to result"] == pytest.approx((0.0495, 0.0946, 0.09801, 0.099), abs=0.001)


def test_records_without_parts_have_an_empty_report(tmp_path: Path) -> None:
    connect(tmp_path / "new.sqlite").close()

    assert latencies_ms(tmp_path / "new.sqlite") == {}
    assert "verdict" in printed(report(tmp_path / "new.sqlite"))
    with closing(sqlite3.connect(tmp_path / "new.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)
