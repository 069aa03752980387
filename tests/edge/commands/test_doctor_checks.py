"""Checks of the clock, the disk and the records."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bundle import Verdict
from edge.commands.doctor_checks import check_commits, check_records, check_space, check_wall_clock
from edge.config.schema import PictureSettings
from edge.errors import CheckFailed, RecordsError
from edge.records.writer import Records
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.commands.test_doctor import line_of
from tests.edge.part_doubles import judged

Make = Callable[..., Path]


def test_a_wall_clock_before_the_bundle_or_the_last_part_is_wrong(make_bundle: Make, tmp_path: Path) -> None:
    written_at = (make_bundle() / "manifest.json").stat().st_mtime
    line = line_of(tmp_path)

    with pytest.raises(CheckFailed, match="when the bundle was written; set the clock"):
        check_wall_clock(line, written_at - 1)
    assert "UTC" in check_wall_clock(line, written_at + 1)

    records = Records(line.records)
    records.keep(judged(1, Verdict.OK, [grey_frame()], tiny_manifest()), 10.0)
    records.close()
    with pytest.raises(CheckFailed, match="when the last part was recorded"):
        check_wall_clock(line, written_at)


def test_too_little_space_is_wrong(tmp_path: Path) -> None:
    line = line_of(tmp_path, pictures=PictureSettings(folder=tmp_path / "a" / "b", leave_free_gib=100_000))

    with pytest.raises(CheckFailed, match=r"GiB free, expected at least 100000; free some space"):
        check_space(line)


def test_a_disk_that_is_slower_than_a_verdict_may_wait_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"expected at most 0 \(record_wait_ms\)"):
        check_commits(line_of(tmp_path, record_wait_ms=0))
    assert list(tmp_path.iterdir()) == []


def test_records_of_another_version_are_wrong(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(RecordsError, match="found version 99"):
        check_records(tmp_path / "old.sqlite")
