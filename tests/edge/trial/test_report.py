"""`edge-inspect trial report` counts agreements and disagreements, by class, with the inspectors' marks."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bundle import Verdict
from edge.cli import main
from edge.records.database import connect_existing, reading
from edge.records.writer import Records
from edge.reports.trial import AGREE, DROPPED, NEW_PASSES, NEW_REJECTS, trial_counts
from edge.review.marks import Mark, MarkedDefect, add_mark
from edge.review.queue import review_queue
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.part_doubles import DARK, judged

OK, NG = Verdict.OK, Verdict.NG


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Records of six parts on trial: both pass, both reject, two that the candidate passes, one it rejects, dropped."""
    records = Records(tmp_path / "records.sqlite")
    manifest = tiny_manifest().sealed()
    trials = ((OK, OK, ""), (NG, NG, "Dark"), (NG, OK, ""), (NG, OK, ""), (OK, NG, "Bright"), (OK, None, ""))
    for number, (verdict, candidate, name) in enumerate(trials, start=1):
        records.keep(judged(number, verdict, [grey_frame()], manifest, (DARK,) if verdict is NG else ()), 10.0)
        records.note_trial(number, "new", candidate, name, 0.9 if name else None)
        records.note_picture(number, "camera0", f"2026-05-04/all/120000-{number}-camera0.png")
    records.close()
    add_mark(records.path, Mark(3, "defective", "Ada", (MarkedDefect("camera0", "Dark"),)))
    add_mark(records.path, Mark(3, "good", "Bob"))  # the latest counts
    add_mark(records.path, Mark(5, "good", "Ada"))
    return records.path


def test_outcomes_are_counted_by_class_with_the_latest_marks(path: Path) -> None:
    with reading(path) as connection:
        counts = trial_counts(connection)

    assert {(one.outcome, one.class_name, one.parts, one.good, one.defective) for one in counts} == {
        (AGREE, "", 1, 0, 0), (AGREE, "Dark", 1, 0, 0), (NEW_PASSES, "Dark", 2, 1, 0),
        (NEW_REJECTS, "Bright", 1, 1, 0), (DROPPED, "", 1, 0, 0),
    }  # fmt: skip


def test_the_report_says_which_bundle_the_marks_confirm(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["trial", "report", str(path)])
    words = " ".join(capsys.readouterr().out.split())

    assert ended.value.code == 0
    assert "5 parts judged by both, 3 disagreements (60.0%, 95 % interval 23.1% to 88.2%), 2 of them marked" in words
    assert "the candidate is right on 1 (50.0%, 95 % interval 9.5% to 90.5%), the bundle in force on 1" in words


def test_disagreements_lead_the_review_queue(path: Path) -> None:
    with reading(path) as connection:
        found = [(one.row, one.reason) for one in review_queue(connection, {"Dark": 0.9, "Bright": 0.9})]

    assert found[0] == (4, "trial disagrees")  # the others are marked
    assert [reason for _, reason in found].count("trial disagrees") == 1


def test_while_the_disk_refuses_rows_no_memory_is_taken_by_a_trial(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.sqlite")
    with closing(connect_existing(records.path)) as connection:
        connection.execute("ALTER TABLE parts RENAME TO gone")
    records.keep(judged(1, OK, [grey_frame()], tiny_manifest().sealed(), ()), 10.0)
    before = records.waiting
    records.note_trial(1, "new", OK)

    assert (records.trouble != "", records.waiting) == (True, before)
    with closing(sqlite3.connect(records.path)) as connection:
        connection.execute("ALTER TABLE gone RENAME TO parts")
    records.close()


def test_records_without_trials_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Records(tmp_path / "records.sqlite").close()
    with pytest.raises(SystemExit):
        main(["trial", "report", str(tmp_path / "records.sqlite")])

    assert "found no part of a trial" in " ".join(capsys.readouterr().out.split())
