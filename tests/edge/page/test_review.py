"""Routes of the review: who may mark, what a mark must hold, what is read of frames and outlines."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Crop, Image, InputSpec, Verdict, encode_png
from edge.page.page_model import PageModel
from edge.records.database import connect_existing
from edge.records.overlay import blobs_of
from edge.records.retention import BLOBS, OVERLAYS
from edge.records.writer import Records
from edge.servers.state import StateUpdate
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.doubles import NOON, Clock, Serve, station, welcome
from tests.edge.page.test_app import get, post
from tests.edge.part_doubles import DARK, judged

SQUARE = [[2, 2], [6, 2], [6, 6]]
GOOD = {"who": "Ada", "marks": [{"part": 1, "truth": "good"}]}
TOKENS = {"token": "a-long-token", "operator_token": "operators-own", "inspector_token": "inspectors-own"}
INSPECTOR = {"Authorization": "Bearer inspectors-own"}


@pytest.fixture
def page(tmp_path: Path, clock: Clock, serve: Serve) -> str:
    """Address of a page over three parts; the first two have a stored frame."""
    records = Records(tmp_path / "r.sqlite", lambda: NOON - timedelta(days=30))
    for number, verdict in ((1, Verdict.NG), (2, Verdict.UNSURE), (3, Verdict.OK)):
        defects = (DARK,) if verdict is Verdict.NG else ()
        records.keep(judged(number, verdict, [grey_frame(0)], tiny_manifest().sealed(), defects), 10.0)
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(encode_png(grey_frame(0)))
        records.note_picture(number, "camera0", f"{number}.png")
    records.close()
    info = welcome(records=str(tmp_path / "r.sqlite"), pictures=str(tmp_path), **TOKENS)
    model = PageModel(info, clock, lambda: NOON)
    model.take(StateUpdate(station=station(thresholds={"Dark": 0.95}, bundle_id=tiny_manifest().sealed().id)), b"")
    return serve(model)


def read(page: str, path: str) -> object:
    """Content of an answer to a reader."""
    status, words = get(f"{page}{path}", Authorization="Bearer a-long-token")
    assert status == 200, words
    return json.loads(words)


def test_marking_needs_the_inspectors_token_and_the_page_itself(page: str) -> None:
    at = f"{page}/api/marks"

    assert post(at, GOOD)[0] == 401
    assert post(at, GOOD, Authorization="Bearer a-long-token")[0] == 403
    assert post(at, GOOD, Authorization="Bearer operators-own")[0] == 403
    assert post(at, GOOD, **INSPECTOR, Origin="http://evil.example")[0] == 403
    assert post(f"{at}/", GOOD, Authorization="Bearer operators-own")[0] == 404
    assert read(page, "/api/parts/1")["marks"] == []  # type: ignore[index]
    assert post(at, GOOD, **INSPECTOR, Origin=page)[0] == 200


def test_an_inspector_may_operate(page: str) -> None:
    status, words = post(f"{page}/api/resume", {"who": "Ada"}, **INSPECTOR)

    assert (status, "role" in words) != (403, True)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"who": "", "marks": GOOD["marks"]}, "who"),
        ({"who": "Ada", "marks": []}, "marks"),
        ({"who": "Ada", "marks": [{"part": 1, "truth": "fine"}]}, "truth"),
        ({"who": "Ada", "marks": [{"part": 1, "truth": "good", "note": "a\nb"}]}, "note"),
        ({"who": "Ada", "marks": [{"part": 1, "truth": "good", "sure": True}]}, "sure"),
        ({"who": "Ada", "marks": [{"part": 1, "truth": "defective"}]}, "expected at least one of a defective"),
        ({"who": "Ada", "marks": [{"part": 1, "truth": "good"}, {"part": 99, "truth": "good"}]}, "found no such part"),
    ],
)
def test_a_mark_that_makes_no_sense_is_refused_and_writes_nothing(
    asked: dict[str, object], words: str, page: str
) -> None:
    status, answer = post(f"{page}/api/marks", asked, **INSPECTOR)

    assert (status, words in answer) == (422, True)
    assert read(page, "/api/parts/1")["marks"] == []  # type: ignore[index]


def test_marks_are_shown_again_with_author_time_and_outline(page: str) -> None:
    defect = {"camera": "camera0", "class_name": "Dent", "polygons": [SQUARE]}
    mark = {"part": 1, "truth": "defective", "note": "faint", "defects": [defect]}
    assert post(f"{page}/api/marks", {"who": "Ada", "marks": [mark]}, **INSPECTOR)[0] == 200
    assert post(f"{page}/api/marks", {**GOOD, "who": "Bert"}, **INSPECTOR)[0] == 200

    first, second = read(page, "/api/parts/1")["marks"]  # type: ignore[index]
    assert {name: first[name] for name in ("who", "truth", "classes", "note", "outlines")} == {
        "who": "Ada", "truth": "defective", "classes": ["Dent"], "note": "faint", "outlines": [defect],
    }  # fmt: skip
    listed = read(page, "/api/parts?row=1&row=2")
    assert [(one["number"], one["mark"] and one["mark"]["who"]) for one in listed] == [(2, None), (1, "Bert")]  # type: ignore[attr-defined]
    assert second["time"]


def test_the_queue_has_reasons_and_leaves_out_marked_parts(page: str) -> None:
    found = [(one["number"], one["reason"]) for one in read(page, "/api/queue")]  # type: ignore[attr-defined]
    assert found == [(2, "unsure"), (1, "near the threshold")]
    post(f"{page}/api/marks", GOOD, **INSPECTOR)

    assert [one["number"] for one in read(page, "/api/queue")] == [2]  # type: ignore[attr-defined]


def test_the_share_of_escapes_comes_from_the_random_sample(page: str) -> None:
    before = read(page, "/api/sample")
    post(f"{page}/api/marks", {"who": "Ada", "marks": [{"part": 3, "truth": "good", "sampled": True}]}, **INSPECTOR)
    after = read(page, "/api/sample")

    assert before == {"marked": 0, "defective": 0, "share": None, "low": None, "high": None}
    assert after == {"marked": 1, "defective": 0, "share": 0.0, "low": 0.0, "high": pytest.approx(0.975)}


def test_a_part_on_trial_has_both_opinions_with_their_outlines(page: str, tmp_path: Path) -> None:
    outline = {"camera": "camera0", "class_name": "Bright", "score": 0.9, "polygon": SQUARE}
    with closing(connect_existing(tmp_path / "r.sqlite")) as connection:
        add = "INSERT INTO trials (part, bundle_id, verdict, class, score, outlines) VALUES (?, ?, ?, ?, ?, ?)"
        connection.execute(add, (2, "agrees", 2, "Dark", 0.7, None))
        connection.execute(add, (2, "differs", 1, None, None, json.dumps([outline])))
        connection.execute(add, (3, "new", 2, "Bright", 0.9, "no JSON"))
    second, third = read(page, "/api/parts/2"), read(page, "/api/parts/3")

    assert read(page, "/api/parts/1")["candidate"] is None  # type: ignore[index]
    opinion = {"bundle_id": "differs", "verdict": "OK", "class_name": "", "score": None}
    assert second["candidate"] == opinion  # type: ignore[index]
    assert second["views"][0]["candidate"] == [{name: outline[name] for name in ("class_name", "score", "polygon")}]  # type: ignore[index]
    assert third["candidate"]["verdict"] == "NG"  # type: ignore[index]
    assert third["views"][0]["candidate"] == []  # type: ignore[index]


def test_the_report_of_a_trial_is_a_page_of_text(page: str) -> None:
    assert "found no part of a trial" in get(f"{page}/api/trial-report", Authorization="Bearer a-long-token")[1]


def test_frames_come_without_outlines_and_never_from_outside(page: str, tmp_path: Path) -> None:
    (view,) = read(page, "/api/parts/1")["views"]  # type: ignore[index]
    assert (view["width"], view["height"], view["frame"]) == (12, 16, "api/frames/1/camera0")
    assert get(f"{page}/api/frames/1/camera0", Authorization="Bearer a-long-token")[0] == 200
    with closing(connect_existing(tmp_path / "r.sqlite")) as connection:
        connection.execute("UPDATE views SET picture = '../outside.png' WHERE part = 1")
    (tmp_path.parent / "outside.png").write_bytes(encode_png(grey_frame(0)))

    assert get(f"{page}/api/frames/1/camera0", Authorization="Bearer a-long-token")[0] == 404
    assert read(page, "/api/parts/1")["views"][0]["frame"] is None  # type: ignore[index]
    assert get(f"{page}/api/parts/77", Authorization="Bearer a-long-token")[0] == 404


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (json.dumps([{"class_name": "Dark", "score": 0.97, "polygon": SQUARE}]), 1),
        ("[", 0),
        ("[" * 100_000, 0),
        (json.dumps([{"class_name": "Dark"}]), 0),
        (json.dumps({"other": 1}), 0),
    ],
    ids=["outlines", "torn", "deep", "odd", "other"],
)
def test_outlines_of_the_network_are_read_or_left_out(content: str, count: int, page: str, tmp_path: Path) -> None:
    blobs = tmp_path / OVERLAYS / f"1.png{BLOBS}"
    blobs.parent.mkdir()
    blobs.write_text(content)

    assert len(read(page, "/api/parts/1")["views"][0]["proposals"]) == count  # type: ignore[index]


def drawn(polygon: object, like: Image) -> Image:
    """Mask of a polygon."""
    return cv2.fillPoly(np.zeros(like.shape, np.uint8), [np.array(polygon, np.int32)], 1)


@pytest.mark.parametrize("crop", [None, Crop(x=3, y=5, width=12, height=16)], ids=["whole", "crop"])
def test_the_outline_of_a_blob_is_in_pixels_of_the_frame(crop: Crop | None) -> None:
    left, top = (crop.x, crop.y) if crop else (0, 0)
    manifest = tiny_manifest(input=InputSpec(height=16, width=12, channels=1, crop=crop)).sealed()
    seen = grey_frame(0)
    frame = np.pad(seen, ((top, 7), (left, 9)), constant_values=128) if crop else seen
    found = replace(DARK, box=(left + 2, top + 4, 4, 4))
    view = judged(1, Verdict.NG, [seen], manifest, (found,)).views[0]
    assert view.frame is not None
    view.frame = replace(view.frame, pixels=frame)

    (blob,) = blobs_of(view, manifest)
    assert (blob["class_name"], blob["score"]) == ("Dark", 0.97)
    assert np.array_equal(drawn(blob["polygon"], frame), (frame == 0).astype(np.uint8))
    view.defects = (replace(found, box=(left + 8, top, 2, 2)),)
    assert blobs_of(view, manifest) == [], "a blob outside of all defects' boxes is too small to be one"
