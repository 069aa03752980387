"""Pictures are kept as the settings ask, and nothing that happens to them holds up a verdict."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import FrameError, Verdict, read_image
from edge.config.schema import PictureSettings
from edge.records.overlay import OVERLAY_PX
from edge.records.pictures import RETRY_S, SAY_S, PictureStore
from edge.records.writer import Records
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.part_doubles import DARK, judged

NOON = datetime(2026, 5, 4, 12, 30, 15, tzinfo=timezone.utc)
MANIFEST = tiny_manifest().sealed()
PLENTY = 10**12

Open = Callable[..., PictureStore]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records(tmp_path / "records.sqlite", lambda: NOON)
    yield opened
    opened.close()


@pytest.fixture
def open_pictures(tmp_path: Path, records: Records) -> Open:
    def opened(
        clock: Callable[[], float] = lambda: 0.0, free: Callable[[Path], int] = lambda _: PLENTY, **settings: object
    ) -> PictureStore:
        chosen = PictureSettings(**{"folder": tmp_path / "pictures", **settings})  # type: ignore[arg-type]
        return PictureStore(chosen, records, lambda: MANIFEST, utc=lambda: NOON, clock=clock, free=free)

    return opened


def kept(tmp_path: Path) -> list[str]:
    folder = tmp_path / "pictures"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("verdict", "settings", "expected"),
    [
        (Verdict.NG, {}, ["2026-05-04/reject/123015-1-camera0.png"]),
        (Verdict.TIMEOUT, {}, ["2026-05-04/reject/123015-1-camera0.png"]),
        (Verdict.FAULT, {}, ["2026-05-04/reject/123015-1-camera0.png"]),
        (Verdict.FAULT, {"rejects": False}, []),
        (Verdict.UNSURE, {"rejects": False}, ["2026-05-04/unsure/123015-1-camera0.png"]),
        (Verdict.UNSURE, {"unsure": False}, []),
        (Verdict.OK, {}, []),
        (Verdict.OK, {"one_in_good": 1}, ["2026-05-04/good/123015-1-camera0.png"]),
    ],
)
def test_the_verdict_decides(
    open_pictures: Open, tmp_path: Path, verdict: Verdict, settings: dict[str, object], expected: list[str]
) -> None:
    pictures = open_pictures(**settings)
    pictures.offer(judged(1, verdict, [grey_frame()], MANIFEST))
    pictures.close()

    assert kept(tmp_path) == expected


def test_one_in_three_good_parts_is_every_third(open_pictures: Open, tmp_path: Path) -> None:
    pictures = open_pictures(one_in_good=3)
    for number in range(1, 8):
        pictures.offer(judged(number, Verdict.OK, [grey_frame()], MANIFEST))
    pictures.close()

    assert [name.split("-")[-2] for name in kept(tmp_path)] == ["3", "6"]
    assert pictures.kept == 2


def test_every_view_is_kept_as_it_came_and_its_row_says_where(
    open_pictures: Open, records: Records, tmp_path: Path
) -> None:
    pictures = open_pictures()
    frames = [grey_frame(spot=0), None, np.dstack([grey_frame(), grey_frame(255), grey_frame(0)])]
    part = judged(7, Verdict.NG, frames, MANIFEST, (DARK,))
    records.keep(part, 10.0)
    pictures.offer(part)
    pictures.close()
    records.close()

    with closing(sqlite3.connect(records.path)) as connection:
        found = connection.execute("SELECT camera, picture FROM views ORDER BY camera").fetchall()
    assert [camera for camera, _ in found] == ["camera0", "camera2"]
    for (_, name), frame in zip(found, (frames[0], frames[2]), strict=True):
        assert np.array_equal(read_image(tmp_path / "pictures" / name), frame)
        assert f"overlays/{name}.jpg" in kept(tmp_path)
        assert f"overlays/{name}.json" in kept(tmp_path), "the outlines for the review"
        with pytest.raises(FrameError, match="outlines drawn by edge-inspect"):
            read_image(tmp_path / "pictures" / "overlays" / f"{name}.jpg")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((480, 640), (480, 640)),
        ((2048, 2448), (round(2048 * OVERLAY_PX / 2448), OVERLAY_PX)),
        ((OVERLAY_PX + 1, 60, 3), (OVERLAY_PX, 60)),
    ],
    ids=["small", "large", "high"],
)
def test_an_overlay_is_a_jpeg_of_limited_size(
    open_pictures: Open, tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, int]
) -> None:
    pictures = open_pictures()
    pictures.offer(judged(1, Verdict.NG, [np.full(shape, 128, np.uint8)], MANIFEST, (DARK,)))
    pictures.close()

    (content,) = (path.read_bytes() for path in (tmp_path / "pictures" / "overlays").rglob("*.jpg"))
    assert content.startswith(b"\xff\xd8\xff\xe0"), "JFIF begins with SOI and APP0"
    drawn = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (*expected, 3)


def test_a_picture_that_was_removed_is_off_the_records(open_pictures: Open, records: Records) -> None:
    parts = [judged(number, Verdict.NG, [grey_frame(0)], MANIFEST, (DARK,)) for number in range(1, 4)]
    pictures = open_pictures(keep_gib=1e-9)  # one byte: each picture makes room for the next
    for part in parts:
        records.keep(part, 10.0)
        pictures.offer(part)
    pictures.close()
    records.close()

    with closing(sqlite3.connect(records.path)) as connection:
        stored = connection.execute("SELECT picture FROM views ORDER BY part").fetchall()
    assert stored == [(None,), (None,), ("2026-05-04/reject/123015-3-camera0.png",)]


def test_a_part_without_a_frame_has_no_picture(open_pictures: Open, tmp_path: Path) -> None:
    pictures = open_pictures()
    pictures.offer(judged(1, Verdict.FAULT, [None], MANIFEST))
    pictures.close()

    assert (kept(tmp_path), pictures.kept) == ([], 0)


def test_a_disk_that_hangs_delays_no_part_and_skipped_pictures_are_logged(
    open_pictures: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reached, gate, now = threading.Event(), threading.Event(), [0.0]

    def slow(folder: Path) -> int:
        reached.set()
        assert gate.wait(10.0)
        return PLENTY

    pictures = open_pictures(clock=lambda: now[0], free=slow, queue=2)
    pictures.offer(judged(1, Verdict.NG, [grey_frame()], MANIFEST))
    assert reached.wait(10.0)
    for number in range(2, 7):
        pictures.offer(judged(number, Verdict.NG, [grey_frame()], MANIFEST))
    now[0] += SAY_S
    pictures.offer(judged(7, Verdict.NG, [grey_frame()], MANIFEST))
    gate.set()
    pictures.close()

    assert (pictures.kept, pictures.skipped) == (3, 4)
    said = [record.getMessage() for record in caplog.records]
    assert [words.split("those of ")[1].split(" parts")[0] for words in said] == ["1", "3"]
    assert len(kept(tmp_path)) == 3


def test_a_backlog_at_the_stop_ends_with_the_picture_at_hand(
    open_pictures: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that still encodes when Python ends aborts the process."""
    opened, reached = list[PictureStore](), threading.Event()

    def slow(folder: Path) -> int:
        reached.set()
        assert opened[0].closing.wait(10.0)
        return PLENTY

    opened.append(open_pictures(free=slow))
    for number in range(1, 5):
        opened[0].offer(judged(number, Verdict.NG, [grey_frame()], MANIFEST))
    before = threading.active_count()
    assert reached.wait(10.0)
    opened[0].close(within_s=0.0)

    assert threading.active_count() == before - 1
    assert len(kept(tmp_path)) == 1
    assert "those of 3 parts were not kept, because the station stopped" in caplog.text


def test_a_disk_that_refuses_is_said_once_and_tried_again(
    open_pictures: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    blocked, now = tmp_path / "pictures", [0.0]
    blocked.write_text("a file where the folder should be")
    pictures = open_pictures(clock=lambda: now[0])

    def lose(number: int) -> None:
        before = pictures.lost
        pictures.offer(judged(number, Verdict.NG, [grey_frame()], MANIFEST))
        while pictures.lost == before:
            assert pictures._thread.is_alive()

    lose(1)
    lose(2)  # not even tried
    now[0] += RETRY_S
    lose(3)
    blocked.unlink()
    now[0] += RETRY_S
    pictures.offer(judged(4, Verdict.NG, [grey_frame()], MANIFEST))
    pictures.close()

    refused, again, over = (record.getMessage() for record in caplog.records)
    assert "File exists; none are kept, parts go on" in refused
    assert over == "alarm cleared: pictures"
    assert "3 parts have none" in again
    assert kept(tmp_path) == ["2026-05-04/reject/123015-4-camera0.png"]


def test_a_half_written_picture_leaves_nothing(open_pictures: Open, tmp_path: Path) -> None:
    target = tmp_path / "pictures" / "2026-05-04" / "reject" / "123015-1-camera0.png"
    target.mkdir(parents=True)  # what is written cannot take its place
    pictures = open_pictures()
    pictures.offer(judged(1, Verdict.NG, [grey_frame()], MANIFEST))
    pictures.close()

    assert (pictures.lost, kept(tmp_path)) == (1, [])


def test_a_camera_s_name_is_no_path(open_pictures: Open, tmp_path: Path) -> None:
    part = judged(1, Verdict.NG, [grey_frame()], MANIFEST)
    part.views[0].camera = "../top/left"
    pictures = open_pictures()
    pictures.offer(part)
    pictures.close()

    assert kept(tmp_path) == ["2026-05-04/reject/123015-1-..%2Ftop%2Fleft.png"]


def test_a_part_of_the_former_bundle_has_no_overlay(open_pictures: Open, tmp_path: Path) -> None:
    part = judged(1, Verdict.NG, [grey_frame(spot=0)], MANIFEST, (DARK,))
    part.bundle_id = "another"
    pictures = open_pictures()
    pictures.offer(part)
    pictures.close()

    assert kept(tmp_path) == ["2026-05-04/reject/123015-1-camera0.png"]
