"""Parts are reviewed in a real browser: by mouse, by touch, by keyboard alone."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from bundle import Image, Verdict, encode_png
from edge.page.page_model import PageModel
from edge.records.retention import BLOBS, OVERLAYS
from edge.records.writer import Records
from edge.servers.state import StateUpdate
from tests.conftest import tiny_manifest
from tests.edge.page.chromium import Tab, condition, findings, tab_to, text
from tests.edge.page.doubles import NOON, Clock, Serve, part, station, welcome
from tests.edge.page.review_dialog import ReviewDialog
from tests.edge.part_doubles import DARK, judged

WIDTH, HEIGHT = 320, 240
SCRATCH = ((40, 100), (120, 90), (124, 104), (44, 114))
DENT = ((220, 160), (260, 150), (270, 190), (230, 200))
PROPOSALS = [
    {"class_name": "Dark", "score": 0.97, "polygon": SCRATCH},
    {"class_name": "Dark", "score": 0.97, "polygon": DENT},
]
VERDICTS = {1: Verdict.OK, 2: Verdict.NG, 3: Verdict.NG, 4: Verdict.UNSURE, 5: Verdict.UNSURE, 6: Verdict.NG}
INSPECTOR = "?token=inspectors-own"


def surface(number: int) -> Image:
    """A plate with a scratch and a dent, each part's a little different."""
    import cv2

    image = np.random.default_rng(number).normal(150, 6, (HEIGHT, WIDTH)).clip(0, 255).astype(np.uint8)
    for polygon in (SCRATCH, DENT):
        cv2.fillPoly(image, [np.array(polygon, np.int32)], 60)
    return image


class Reviewed(ReviewDialog):
    """The open page of an inspector, and the records behind it."""

    def __init__(self, tab: Tab, records: Path, model: PageModel, at: str) -> None:
        super().__init__(tab)
        self.records, self.model, self.at = records, model, at

    def marks(self) -> list[tuple[object, ...]]:
        """Part, truth, author, note of all marks."""
        return self._rows("SELECT part, truth, who, note FROM marks ORDER BY number")

    def outlines(self) -> list[tuple[str, str, object]]:
        """Camera, class and outline of all marked defects, polygons as lists."""
        rows = self._rows("SELECT camera, class, outline FROM marked_defects ORDER BY rowid")
        return [(str(a), str(b), c if c == "none" else json.loads(str(c))) for a, b, c in rows]

    def _rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.records)) as connection:
            return connection.execute(query).fetchall()


def filled(polygon: list[list[int]]) -> np.ndarray:
    """The pixels of a polygon, bool [H, W]."""
    import cv2

    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1)
    return mask.astype(bool)


@pytest.fixture
def reviewed(tmp_path: Path, clock: Clock, serve: Serve, tab: Tab) -> Reviewed:
    """Six parts with frames; the parts 2 and later were rejected for two blobs, the last one has two cameras."""
    path, pictures = tmp_path / "r.sqlite", tmp_path / "pictures"
    records = Records(path, lambda: NOON - timedelta(days=30))
    for number, verdict in VERDICTS.items():
        frames = [surface(number)] * (2 if number == 6 else 1)
        defects = (DARK,) if verdict is Verdict.NG else ()
        records.keep(judged(number, verdict, frames, tiny_manifest().sealed(), defects), 10.0)
        for camera, frame in enumerate(frames):
            name = f"2026-04-04/reject/{number}-camera{camera}.png"
            (pictures / name).parent.mkdir(parents=True, exist_ok=True)
            (pictures / name).write_bytes(encode_png(frame))
            records.note_picture(number, f"camera{camera}", name)
            if defects:
                blobs = pictures / OVERLAYS / f"{name}{BLOBS}"
                blobs.parent.mkdir(parents=True, exist_ok=True)
                blobs.write_text(json.dumps(PROPOSALS))
    records.close()
    tokens = {"operator_token": "operators-own", "inspector_token": "inspectors-own"}
    model = PageModel(welcome(records=str(path), pictures=str(pictures), **tokens), clock, lambda: NOON)
    at = serve(model)
    rejects = tuple(
        part(
            number, verdict.name, defects=[{"class_name": "Dark", "score": 0.97, "area_px": 16.0, "camera": "camera0"}]
        )
        for number, verdict in VERDICTS.items()
        if verdict is Verdict.NG
    )
    model.take(StateUpdate(station=station(thresholds={"Bright": 0.5, "Dark": 0.5}), parts=rejects), b"")
    tab.open(f"{at}/{INSPECTOR}", f"{condition('running')} && document.querySelector('#rejects button')")
    return Reviewed(tab, path, model, at)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1024, 600), (1920, 1080), (390, 844)])
def test_the_review_fits_every_screen_and_is_accessible(
    width: int, height: int, dark: bool, reviewed: Reviewed
) -> None:
    tab = reviewed.tab
    tab.show(width, height, dark)
    reviewed.open_queue()
    reviewed.choose("defective")

    assert tab.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('#review'))"), "scrolls sideways"
    if width >= 1024:
        assert tab.evaluate("(e => e.scrollHeight <= e.clientHeight)(document.querySelector('#review'))"), "scrolls"
        assert tab.evaluate("document.querySelector('.board').clientHeight / innerHeight") > 0.3, "the picture is small"
    assert findings(tab) == []
    assert tab.complaints() == []


def test_a_part_is_outlined_and_marked_by_keyboard_alone(reviewed: Reviewed) -> None:
    tab = reviewed.tab
    tab_to(tab, "[data-open=review]")
    tab.press("Enter")
    reviewed.wait_for_picture()
    assert tab.evaluate("document.activeElement.closest('#review ol') !== null"), "the first part has the focus"
    tab_to(tab, "#review .board")
    tab.press("Enter")
    for arrow in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        for _ in range(4):
            tab.press(arrow)
        tab.press("Enter")
    tab.press("Backspace")
    tab.press("Enter")
    for _ in range(4):
        tab.press("ArrowUp")
    tab.press("Enter")  # on the first corner: closes
    tab_to(tab, "#review [name=class_name]")
    tab.type("Scratch")
    tab_to(tab, "#review [name=who]")
    tab.type("Ada")
    tab.press("Enter")
    tab.wait_for(f"{text('#review .answer')} === '1 part marked'")

    assert reviewed.marks() == [(5, "defective", "Ada", "")]
    assert reviewed.outlines() == [("camera0", "Scratch", [[[160, 120], [180, 120], [180, 140], [160, 140]]])]
    assert tab.evaluate("document.activeElement.closest('#review ol') !== null"), "the next part has the focus"
    assert tab.complaints() == []


def test_a_click_on_a_blob_takes_the_networks_outline(reviewed: Reviewed) -> None:
    tab = reviewed.tab
    tab.evaluate("document.querySelector('#rejects button').click()")
    tab.evaluate("document.querySelector('#picture .mark').click()")
    reviewed.wait_for_picture()
    tab.click(*reviewed.place(245, 175))

    assert tab.evaluate(text("#review .state")).startswith("1 outline, 0 open corners")
    assert tab.evaluate("document.querySelector('#review [value=defective]').checked"), "an outline means a defect"
    reviewed.fill("who", "Ada")
    reviewed.send()
    assert reviewed.outlines() == [("camera0", "Dark", [[list(corner) for corner in DENT]])]


def test_an_outline_is_drawn_by_mouse_and_by_touch(reviewed: Reviewed) -> None:
    tab = reviewed.tab
    reviewed.open_queue()
    reviewed.choose("defective")
    reviewed.fill("class_name", "Stain")
    corners = [(60, 40), (110, 40), (110, 70)]
    for corner in (*corners, corners[0]):
        tab.click(*reviewed.place(*corner))
    assert tab.evaluate(text("#review .state")).startswith("1 outline, 0 open corners")
    tab.swipe(*(reviewed.place(*corner) for corner in ((200, 60), (250, 60), (250, 90), (200, 90))))
    assert tab.evaluate(text("#review .state")).startswith("2 outlines, 0 open corners")
    reviewed.fill("who", "Ada")
    reviewed.send()

    ((camera, name, (drawn, free)),) = reviewed.outlines()
    assert (camera, name) == ("camera0", "Stain")
    assert np.abs(np.array(drawn) - corners).max() <= 1
    assert np.ptp(np.array(free), axis=0).tolist() == pytest.approx([50, 30], abs=2)


def test_an_area_is_painted_with_the_brush(reviewed: Reviewed) -> None:
    tab = reviewed.tab
    reviewed.open_queue()
    tab.evaluate("document.querySelector('#review .brush').click()")
    assert findings(tab) == []
    reviewed.choose("defective")
    reviewed.fill("class_name", "Stain")
    stroke = [(60, 40), (100, 40), (100, 80), (60, 80), (60, 41)]  # a ring, filled
    tab.swipe(*(reviewed.place(*corner) for corner in stroke))
    assert tab.evaluate(text("#review .state")).startswith("1 outline, 0 open corners")
    reviewed.fill("who", "Ada")
    reviewed.send()

    ((_, _, (polygon,)),) = reviewed.outlines()
    radius = 10 / tab.evaluate("document.querySelector('#review .board').getScreenCTM().a")
    area = filled(polygon)
    ys, xs = np.nonzero(area)
    edges = [xs.min(), xs.max(), ys.min(), ys.max()]
    assert edges == pytest.approx([60 - radius, 100 + radius, 40 - radius, 80 + radius], abs=2.5)
    assert area[80, 80]
    assert not area[40 - int(radius) + 1, 60 - int(radius) + 1]  # its corners are round


def test_both_opinions_about_a_part_on_trial_are_drawn(reviewed: Reviewed) -> None:
    outline = {"camera": "camera0", "class_name": "Scratch", "score": 0.8, "polygon": SCRATCH}
    with closing(sqlite3.connect(reviewed.records)) as connection, connection:
        add = "INSERT INTO trials (part, bundle_id, verdict, class, score, outlines) VALUES (1, 'new', 2, ?, ?, ?)"
        connection.execute(add, ("Scratch", 0.8, json.dumps([outline])))
        connection.execute("UPDATE parts SET class = 'Dark', score = 0.2 WHERE number = 1")
    tab = reviewed.tab
    reviewed.open_queue()
    reasons = "[...document.querySelectorAll('#review ol small')].map(e => e.textContent)"
    assert tab.evaluate(reasons)[0] == "candidate disagrees"
    opinions = "[...document.querySelectorAll('#review .opinions li')].map(e => e.textContent)"
    assert tab.evaluate(opinions) == ["In force: OK", "Candidate: NG Scratch 0.80"]
    assert tab.evaluate("document.querySelectorAll('#review .board .candidate').length") == 1
    assert findings(tab) == []
    tab.click(*reviewed.place(80, 102))  # inside the candidate's outline
    reviewed.fill("who", "Ada")
    reviewed.send()

    assert reviewed.outlines() == [("camera0", "Scratch", [[list(corner) for corner in SCRATCH]])]
    with closing(sqlite3.connect(reviewed.records)) as connection:
        assert connection.execute("SELECT part, sampled FROM marks").fetchall() == [(1, 1)]


def test_another_class_takes_the_outlines_with_it(reviewed: Reviewed) -> None:
    tab = reviewed.tab
    tab.evaluate("document.querySelector('#rejects button').click()")
    tab.evaluate("document.querySelector('#picture .mark').click()")
    reviewed.wait_for_picture()
    reviewed.choose("wrong")
    reviewed.fill("class_name", "Scratch")
    tab.evaluate("document.querySelector('#review .take button').click()")
    reviewed.fill("note", "from the belt")
    reviewed.fill("who", "Ada")
    reviewed.send()

    assert reviewed.marks() == [(6, "defective", "Ada", "from the belt")]
    assert reviewed.outlines() == [("camera0", "Scratch", [[list(corner) for corner in SCRATCH]])]


def test_several_parts_are_marked_at_once(reviewed: Reviewed) -> None:
    tab = reviewed.tab
    reviewed.open_queue()
    tab.evaluate("[...document.querySelectorAll('#review ol input')].slice(0, 3).forEach(box => box.click())")
    assert tab.evaluate(text("#review .send")) == "Mark 3 chosen parts"
    reviewed.choose("good")
    reviewed.fill("who", "Ada")
    reviewed.send(3)

    assert [(truth, who) for _, truth, who, _ in reviewed.marks()] == [("good", "Ada")] * 3
    assert tab.evaluate("[...document.querySelectorAll('#review ol em')].filter(e => e.textContent).length") == 3
    reviewed.open_queue()
    tab.wait_for("document.querySelectorAll('#review ol li').length === 1")


def test_a_part_found_elsewhere_is_marked_and_says_who_and_when(reviewed: Reviewed) -> None:
    tab = reviewed.tab

    def search() -> None:
        tab.evaluate("document.querySelector('#find form').requestSubmit()")
        tab.wait_for("document.querySelector('#find .shown .inspector')")

    tab.evaluate("document.querySelector('[data-open=find]').click()")
    tab.evaluate("document.querySelector('#find [name=part_id]').value = '101'")
    search()
    assert findings(tab) == []
    tab.evaluate("document.querySelector('#find .shown .inspector').click()")
    reviewed.wait_for_picture()
    reviewed.choose("defective")
    reviewed.fill("class_name", "Crack")
    reviewed.fill("who", "Ada")
    reviewed.send()

    assert reviewed.marks() == [(1, "defective", "Ada", "")]
    assert reviewed.outlines() == [("camera0", "Crack", "none")]
    assert tab.evaluate(text("#review .marks li")).startswith("Marked defective: Crack, by Ada, ")
    tab.evaluate("document.querySelector('#review [data-close]').click()")
    search()
    assert tab.evaluate(text("#find .given")).startswith("Marked defective: Crack, by Ada, ")


def test_the_frames_of_every_camera_are_shown(reviewed: Reviewed) -> None:
    tab = reviewed.tab
    tab.evaluate("document.querySelector('#rejects button').click()")
    tab.evaluate("document.querySelector('#picture .mark').click()")
    reviewed.wait_for_picture()
    tab.evaluate("document.querySelectorAll('#review .cameras button')[1].click()")
    tab.click(*reviewed.place(245, 175))
    assert findings(tab) == []
    reviewed.fill("who", "Ada")
    reviewed.send()

    assert [camera for camera, *_ in reviewed.outlines()] == ["camera1"]


def test_what_the_records_refuse_is_said(reviewed: Reviewed) -> None:
    reviewed.open_queue()
    reviewed.choose("defective")
    reviewed.fill("class_name", "../evil")
    reviewed.fill("who", "Ada")
    reviewed.tab.evaluate("document.querySelector('#review .send').click()")

    reviewed.tab.wait_for(f"{text('#review .answer')}.startsWith('Not done: class')")
    assert reviewed.marks() == []


@pytest.mark.parametrize(("query", "count"), [("", 0), ("?token=operators-own", 0), (INSPECTOR, 1)])
def test_only_inspectors_have_the_buttons(query: str, count: int, reviewed: Reviewed) -> None:
    tab = reviewed.tab
    if query != INSPECTOR:
        tab.clear_cookies()
    tab.open(f"{reviewed.at}/{query}", condition("running"))
    visible = "[...document.querySelectorAll('button.inspector')].filter(b => b.offsetParent).length"

    assert tab.evaluate(visible) == count


def test_found_parts_are_marked_one_by_one_and_together(reviewed: Reviewed) -> None:
    reviewed.open_found("NG")
    reviewed.show_part("Part 103")
    reviewed.choose("unclear")
    reviewed.fill("who", "Ada")
    reviewed.send()
    for number in (102, 106):
        reviewed.choose_part(f"Part {number}")
    reviewed.choose("good")
    reviewed.send(2)

    assert reviewed.marks() == [(3, "unclear", "Ada", ""), (6, "good", "Ada", ""), (2, "good", "Ada", "")]
    reviewed.close()
