"""The shift report counts what the records say of a period, and its page needs nothing else."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from bundle import Verdict, encode_png
from edge.cli import main
from edge.errors import RecordsError
from edge.records.database import connect
from edge.reports.command import write_report
from edge.reports.shift import ShiftReport, shift_report
from edge.review.marks import Mark, MarkedDefect, add_marks

START = datetime(2026, 5, 4, 6, 0, tzinfo=timezone.utc)
END = START + timedelta(hours=8)
SCRATCH, DENT = "Scratch", "<b>Dent & co</b>"
PARTS = (
    # minutes after START, verdict, class
    (-1, Verdict.NG, SCRATCH),  # before the period
    (0, Verdict.NG, SCRATCH),
    (30, Verdict.NG, SCRATCH),
    (90, Verdict.UNSURE, SCRATCH),
    (100, Verdict.NG, DENT),
    (200, Verdict.OK, None),
    (201, Verdict.OK, None),
    (202, Verdict.OK, None),
    (300, Verdict.FAULT, None),
    (310, Verdict.NG, SCRATCH),  # a known bad part
    (480, Verdict.NG, DENT),  # after the period
)
KNOWN_BAD = 10
ALARMS = (
    ("camera top", "camera", 60, 70),
    ("camera top", "camera", 100, 105),
    ("PLC", "link", 65, 80),
    ("disk", "disk", 10, 20),
    ("drift brightness", "drift", -60, 30),
    ("rejects in a row", "other", 470, None),
    ("paused", "other", 400, 410),
)


def at(minutes: float | None) -> str | None:
    """Time in the format of the rows, by minutes after START."""
    return None if minutes is None else (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")


def fill(connection: sqlite3.Connection) -> None:
    """Write parts, views, alarms, a pause and a challenge."""
    connection.execute("INSERT INTO challenges (time, who, parts, result) VALUES (?, 'Ada', 1, 'passed')", (at(309),))
    part = (
        "INSERT INTO parts (number, time, part_id, encoder, verdict, told, class, fault, bundle_id, frame_us, sent_us, "
        "challenge) VALUES (?, ?, ?, 0, ?, ?, ?, '', 'abc', 1000, ?, ?)"
    )
    for number, (minutes, verdict, name) in enumerate(PARTS, start=1):
        known_bad = 1 if number == KNOWN_BAD else None
        row = number, at(minutes), 100 + number, int(verdict), int(verdict), name, number * 1000, known_bad
        connection.execute(part, row)
        connection.execute("INSERT INTO views VALUES (?, 'top', 1, 's', 40, 30, ?)", (number, f"{number}.png"))
    alarm = "INSERT INTO alarms (name, area, cause, part_id, began, ended) VALUES (?, ?, 'x', 0, ?, ?)"
    for name, area, began, ended in ALARMS:
        connection.execute(alarm, (name, area, at(began), at(ended)))
    pause = "INSERT INTO pauses (time, who, reason, began, ended) VALUES (?, 'Ada', 'Cleaning', ?, ?)"
    connection.execute(pause, (at(400), at(400), at(410)))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.sqlite"
    with closing(connect(path)) as connection:
        fill(connection)
    return path


@pytest.fixture
def marked(records: Path) -> Path:
    """The same, with marks: false rejects, a wrong class, a missed part, a right one, an unclear one."""
    add_marks(
        records,
        [
            Mark(2, "good", "Ada", (), "dust <only>"),
            Mark(3, "defective", "Ada", (MarkedDefect("top", "Stain"),)),
            Mark(6, "defective", "Bert", (MarkedDefect("top", SCRATCH),), "returned"),
            Mark(5, "unclear", "Bert"),
            Mark(7, "good", "Bert"),
            Mark(4, "unclear", "Bert"),
            Mark(4, "good", "Ada"),  # the latest counts
            Mark(1, "good", "Ada"),  # of another shift
        ],
    )
    return records


@pytest.fixture
def found(marked: Path) -> ShiftReport:
    return shift_report(marked, START, END)


def test_parts_of_the_period_are_counted_without_known_bad_ones(found: ShiftReport) -> None:
    assert found.verdicts == {"NG": 3, "OK": 3, "UNSURE": 1, "FAULT": 1}
    assert (found.parts, found.rejects, found.bundles) == (8, 5, {"abc": 8})
    assert [(one.who, one.result) for one in found.challenges] == [("Ada", "passed")]


def test_classes_are_listed_by_falling_count(found: ShiftReport) -> None:
    assert [(row.class_name, row.parts, row.share, row.summed) for row in found.pareto] == [
        (SCRATCH, 3, 0.75, 0.75),
        (DENT, 1, 0.25, 1.0),
    ]
    assert [row.pictures for row in found.pareto] == [("4.png", "3.png", "2.png"), ("5.png",)]


def test_the_trend_has_every_part_in_its_bar(found: ShiftReport) -> None:
    filled = {bar.time: (bar.parts, bar.rejects) for bar in found.trend if bar.parts}
    expected = {0: (1, 1), 30: (1, 1), 90: (1, 1), 100: (1, 1), 200: (3, 0), 300: (1, 1)}

    assert (found.bar_minutes, len(found.trend)) == (10, 48)
    assert filled == {START + timedelta(minutes=minutes): counts for minutes, counts in expected.items()}


def test_downtime_is_summed_by_cause_and_cut_at_the_ends(found: ShiftReport) -> None:
    assert {row.cause: (row.times, round(row.minutes, 6), row.stops) for row in found.downtime} == {
        "camera top": (2, 15.0, True),
        "PLC": (1, 15.0, True),
        "paused: Cleaning": (1, 10.0, True),
        "disk": (1, 10.0, False),
        "rejects in a row": (1, 10.0, False),
    }
    assert found.stopped_minutes == pytest.approx(20 + 5 + 10), "overlapping causes count once"
    assert [(row.cause, row.minutes) for row in found.drift] == [("drift brightness", 30.0)]


def test_mistakes_are_those_of_the_latest_marks(found: ShiftReport) -> None:
    assert found.marked == {"unclear": 1, "missed": 1, "right": 1, "false reject": 2, "wrong class": 1}
    assert [(one.row, one.kind, one.mark.mark.who) for one in found.mistakes] == [
        (6, "missed", "Bert"), (4, "false reject", "Ada"), (3, "wrong class", "Ada"), (2, "false reject", "Ada"),
    ]  # fmt: skip


def test_latency_is_that_of_the_period(found: ShiftReport) -> None:
    worst = found.latency["frame to result"][3]

    assert worst == pytest.approx(9.0)  # row 10 took 10 ms, of which 1 ms to its frame; row 11 is of the next shift


def test_an_empty_period_is_a_report_too(records: Path) -> None:
    later = END + timedelta(days=1)
    found = shift_report(records, later, later + timedelta(hours=8))

    assert (found.parts, found.pareto, found.latency, found.marked) == (0, (), {}, {})
    assert [row.cause for row in found.downtime] == ["rejects in a row"]


def test_the_page_is_one_file_with_pictures_and_no_markup_of_the_plant(marked: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in (2, 5):
        (pictures / f"{number}.png").write_bytes(encode_png(np.full((30, 40), 100, np.uint8)))
    line = tmp_path / "line.toml"
    line.write_text(
        f'bundle = "x"\nplc = "serial:///dev/null"\nrecords = "{marked}"\n[pictures]\nfolder = "{pictures}"\n'
        '[page]\ntitle = "Line <3>"\n[[camera]]\naddress = "synthetic://"\n'
    )
    (said,) = write_report(line, tmp_path / "report.html", None, START, END)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert "8 parts, 5 of them rejected" in said
    assert "Line &lt;3&gt;" in text
    assert "&lt;b&gt;Dent &amp; co&lt;/b&gt;" in text
    assert "dust &lt;only&gt;" in text
    assert DENT not in text
    assert text.count("data:image/jpeg;base64,") == 3, "one of each class, one of a mistake"
    assert not any(word in text for word in ("http:", "https:", 'src="/', "<script", "<link"))


def test_the_default_period_is_the_shift_so_far(records: Path, tmp_path: Path) -> None:
    now = datetime(2026, 5, 4, 9, 30).astimezone()

    assert "2026-05-04 06:00 to 09:30" in next(
        write_report(records, tmp_path / "r.html", None, None, None, lambda: now)
    )
    with pytest.raises(RecordsError, match="expected a period"):
        next(write_report(records, tmp_path / "r.html", None, END, START))


def test_the_command_writes_the_file(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    since, until = (f"{moment.astimezone():%Y-%m-%dT%H:%M:%S}" for moment in (START, END))
    with pytest.raises(SystemExit) as ended:
        main(["report", str(records), "--html", str(tmp_path / "r.html"), "--since", since, "--until", until])

    assert not ended.value.code
    assert "8 parts, 5 of them rejected" in capsys.readouterr().out


def test_earlier_records_are_refused(records: Path) -> None:
    with closing(sqlite3.connect(records)) as connection:
        connection.execute("PRAGMA user_version = 4")
    with pytest.raises(RecordsError, match="found version 4, expected at least 5"):
        shift_report(records, START, END)
