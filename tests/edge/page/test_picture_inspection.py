"""Pictures of other programs, over HTTP and in their own process."""

import json
import threading
from pathlib import Path
from urllib.request import Request

import pytest

from bundle import encode_png
from edge.config.page import PageSettings
from edge.page.page_model import PageModel
from edge.page.picture_inspection import InspectionBusy, PictureInspector, PictureRefused
from edge.page.state import InspectedPicture
from edge.servers.state import StateUpdate
from synthetic.tiles import draw_tile
from tests.edge.page.doubles import NOON, Clock, Serve, station, welcome
from tests.edge.page.test_app import answered

ROOT = Path(__file__).resolve().parents[3]
BUNDLE = str(ROOT / "models" / "demo-tiles")
TOKEN = "an operator's token"


@pytest.fixture(scope="module")
def inspector() -> PictureInspector:
    pytest.importorskip("onnxruntime", reason="the inspection needs edge-inspect[cpu]")
    return PictureInspector(nice=0)


def picture(kind: str | None) -> bytes:
    return encode_png(draw_tile(11, 4, kind).image)


def test_a_defect_is_found_with_box_and_outline(inspector: PictureInspector) -> None:
    found = inspector.inspect(BUNDLE, picture("Blowhole"))

    assert found.verdict == "NG"
    x, y, width, height = found.defects[0].box
    assert all(x <= column < x + width and y <= row < y + height for column, row in found.defects[0].outlines[0])
    assert set(found.scores) >= {found.defects[0].class_name}


def test_a_file_that_is_no_picture_is_refused(inspector: PictureInspector) -> None:
    with pytest.raises(PictureRefused, match="no image, expected JPEG, PNG"):
        inspector.inspect(BUNDLE, b"no picture")


def test_a_bundle_that_is_gone_is_named(inspector: PictureInspector, tmp_path: Path) -> None:
    with pytest.raises(InspectionBusy, match="gone"):
        inspector.inspect(str(tmp_path / "gone"), picture(None))


def test_a_process_that_does_not_answer_is_ended() -> None:
    with pytest.raises(InspectionBusy, match=r"not inspected within 0\.01 s"):
        PictureInspector(limit_s=0.01).inspect(BUNDLE, picture(None))


class Answers(PictureInspector):
    """Answers without a process; refuses `odd`, and waits with `slow` until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let_go = threading.Event(), threading.Event()

    def _inspected(self, bundle: str, picture: bytes) -> InspectedPicture:
        self.begun.set()
        if picture == b"odd":
            raise PictureRefused("found 3 bytes")
        if picture == b"slow":
            assert self.let_go.wait(60)
        return InspectedPicture(bundle_id=bundle, verdict="OK", scores={"dent": 0.1}, defects=())


def send(at: str, picture: bytes, **headers: str) -> tuple[int, str]:
    kind = {"Content-Type": "application/octet-stream", "Authorization": f"Bearer {TOKEN}"}
    return answered(Request(f"{at}/api/inspect", picture, kind | headers))


@pytest.fixture
def inspecting(clock: Clock, serve: Serve) -> tuple[str, Answers]:
    """A page that inspects: its address, with the inspector."""
    model, answers = PageModel(welcome(inspect=True, operator_token=TOKEN), clock, lambda: NOON), Answers()
    at = serve(model, inspector=answers)
    model.take(StateUpdate(station=station(bundle_folder="mine")), b"")
    return at, answers


def test_a_program_gets_the_verdict_of_the_bundle_in_use(inspecting: tuple[str, Answers]) -> None:
    status, told = send(inspecting[0], b"picture")

    assert status == 200
    assert json.loads(told) == {"bundle_id": "mine", "verdict": "OK", "scores": {"dent": 0.1}, "defects": []}


def test_an_odd_picture_is_the_program_s_mistake(inspecting: tuple[str, Answers]) -> None:
    assert send(inspecting[0], b"odd") == (422, '{"detail":"found 3 bytes"}')


def test_one_picture_at_a_time(inspecting: tuple[str, Answers]) -> None:
    at, answers = inspecting
    first = threading.Thread(target=send, args=(at, b"slow"))
    first.start()
    assert answers.begun.wait(60)
    status, told = send(at, b"picture")
    answers.let_go.set()
    first.join()

    assert (status, "send one at a time" in told) == (503, True)


def test_a_picture_without_the_operators_token_is_refused(inspecting: tuple[str, Answers]) -> None:
    assert send(inspecting[0], b"picture", Authorization="Bearer another")[0] == 403
    assert not inspecting[1].begun.is_set()


def test_there_is_no_route_unless_the_line_wants_it(clock: Clock, serve: Serve) -> None:
    at = serve(PageModel(welcome(operator_token=TOKEN), clock, lambda: NOON))

    assert send(at, b"picture")[0] == 404


def test_programs_need_the_token_of_the_operators() -> None:
    with pytest.raises(ValueError, match="inspect = true without an operator_token"):
        PageSettings(inspect=True)
