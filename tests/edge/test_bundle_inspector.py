"""The Python interface: verdict, defects with masks in frame pixels, and the picture with outlines."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge
from bundle import Crop, FrameError, Golden, InputSpec, Threshold, Verdict, encode_png, write_bundle
from bundle.golden import encode
from edge import BundleInspector
from edge.errors import EngineError
from synthetic.tiles import draw_part
from tests.conftest import CLASSES, HEIGHT, WIDTH, grey_frame, tiny_manifest, tiny_model, tiny_outputs

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Path]


@pytest.fixture
def inspector(make_bundle: Make) -> Iterator[BundleInspector]:
    with BundleInspector.open(make_bundle(), threads=1, mm_per_px=0.5) as opened:
        yield opened


def test_a_good_image_is_ok(inspector: BundleInspector) -> None:
    result = inspector.inspect(grey_frame())

    assert result.verdict is Verdict.OK
    assert result.defects == ()
    assert result.scores["Bright"] == pytest.approx(128 / 255)


def test_a_defect_has_class_score_box_area_and_mask(inspector: BundleInspector) -> None:
    result = inspector.inspect(grey_frame(spot=255))

    assert result.verdict is Verdict.NG
    (defect,) = result.defects
    assert (defect.class_name, defect.box) == ("Bright", (2, 4, 4, 4))
    assert defect.score == pytest.approx(1.0)
    assert (defect.area_px, defect.area_mm2) == (16.0, 4.0)
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[4:8, 2:6] = True
    assert np.array_equal(defect.mask, wanted)
    (outline,) = defect.outlines
    assert outline.min(axis=0).tolist() == [2, 4]
    assert outline.max(axis=0).tolist() == [5, 7]


def test_a_result_prints_its_defects_without_pixels(inspector: BundleInspector) -> None:
    shown = repr(inspector.inspect(grey_frame(spot=255)))

    assert "class_name='Bright'" in shown
    assert "array" not in shown


def test_areas_are_in_pixels_of_a_larger_frame(inspector: BundleInspector) -> None:
    (defect,) = inspector.inspect(np.kron(grey_frame(spot=255), np.ones((3, 3), np.uint8))).defects

    assert defect.area_px == np.count_nonzero(defect.mask) == 144
    assert defect.box == (6, 12, 12, 12)


def around(frame: np.ndarray) -> np.ndarray:
    """A larger frame with the tiny one at row 7, column 5."""
    larger = np.full((40, 30), 128, np.uint8)
    larger[7 : 7 + HEIGHT, 5 : 5 + WIDTH] = frame
    return larger


def test_masks_and_boxes_lie_in_the_frame_around_the_crop(tmp_path: Path) -> None:
    spec = InputSpec(height=HEIGHT, width=WIDTH, channels=1, crop=Crop(x=5, y=7, width=WIDTH, height=HEIGHT))
    tiny = grey_frame(), grey_frame(spot=255)
    golden = Golden((around(tiny[0]), around(tiny[1])), *tiny_outputs(np.stack(tiny)[:, np.newaxis]))
    files = {"model.onnx": tiny_model(), **encode(golden)}
    write_bundle(tmp_path / "cropped", tiny_manifest(input=spec), files)
    with BundleInspector.open(tmp_path / "cropped", threads=1) as inspector:
        (defect,) = inspector.inspect(around(tiny[1])).defects

    assert defect.area_mm2 is None
    assert defect.box == (7, 11, 4, 4)
    assert np.array_equal(np.argwhere(defect.mask).min(axis=0), [11, 7])
    assert np.count_nonzero(defect.mask) == 16


def test_each_defect_has_the_mask_of_its_own_blob(inspector: BundleInspector) -> None:
    frame = grey_frame(spot=255)
    frame[12:16, 8:12] = 255
    first, second = inspector.inspect(frame).defects

    assert {first.box, second.box} == {(2, 4, 4, 4), (8, 12, 4, 4)}
    for defect in (first, second):
        x, y, width, height = defect.box
        assert np.argwhere(defect.mask).min(axis=0).tolist() == [y, x]
        assert np.count_nonzero(defect.mask) == width * height


def test_a_class_found_by_its_score_alone_has_one_cell(make_bundle: Make) -> None:
    thresholds = {name: Threshold(score=0.4, level=255) for name in CLASSES}
    with BundleInspector.open(make_bundle(thresholds=thresholds), threads=1) as inspector:
        result = inspector.inspect(grey_frame(spot=140))

    assert [defect.area_px for defect in result.defects] == [0, 0]
    assert [np.count_nonzero(defect.mask) for defect in result.defects] == [4, 4]


def test_the_picture_has_outlines_and_the_image_is_unchanged(inspector: BundleInspector) -> None:
    frame = np.kron(grey_frame(spot=255), np.ones((20, 20), np.uint8))
    before = frame.copy()
    picture = inspector.inspect(frame).draw()

    assert (picture.shape, picture.dtype) == ((*frame.shape, 3), np.uint8)
    assert np.array_equal(frame, before)
    assert np.any(picture[80:160, 40:120, 0] != picture[80:160, 40:120, 1])
    assert np.array_equal(picture[300:, 200:, 0], frame[300:, 200:])


def test_the_lines_in_a_large_picture_leave_a_small_defect_visible(inspector: BundleInspector) -> None:
    frame = np.kron(grey_frame(spot=255), np.ones((200, 200), np.uint8))  # 3200 x 2400
    picture = inspector.inspect(frame).draw()
    x, y, size = 400, 800, 800

    assert (picture[y + 4 : y + size - 4, x + 4 : x + size - 4] == 255).all()
    assert (picture[y : y + size, x - 21] != 128).any()  # the box, two widths of its line away


def test_an_image_of_too_few_pixels_is_refused(inspector: BundleInspector) -> None:
    tiny = np.full((1, 1), 90, np.uint8)
    for judge in (inspector.inspect, lambda image: inspector.class_mask(image, "Bright")):
        with pytest.raises(FrameError, match="found a frame of 1x1, expected at least"):
            judge(tiny)


def test_many_images_come_back_in_order(inspector: BundleInspector) -> None:
    frames = [grey_frame(spot=255 if number % 3 == 0 else None) for number in range(7)]

    results = list(inspector.inspect_all(frames))

    assert [result.verdict is Verdict.NG for result in results] == [number % 3 == 0 for number in range(7)]
    assert all(result.image is frame for result, frame in zip(results, frames, strict=True))


def test_a_file_is_read_and_a_wrong_one_refused(inspector: BundleInspector, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "spot.png").write_bytes(encode_png(grey_frame(spot=255)))

    assert inspector.inspect(str(tmp_path / "spot.png")).verdict is Verdict.NG
    with pytest.raises(FrameError, match=r"bad\.png"):
        inspector.inspect(tmp_path / "bad.png")
    with pytest.raises(FrameError, match="expected uint8"):
        inspector.inspect(np.zeros((4, 4)))


def test_an_unsure_margin_gives_unsure(make_bundle: Make) -> None:
    with BundleInspector.open(make_bundle(), threads=1, unsure_margin=0.2) as inspector:
        assert inspector.inspect(grey_frame(spot=200)).verdict is Verdict.UNSURE


def test_an_unknown_engine_is_refused(make_bundle: Make) -> None:
    with pytest.raises(EngineError, match="found 'abacus', expected one of 'onnxruntime'"):
        BundleInspector.open(make_bundle(), engine="abacus")


def test_importing_the_package_loads_no_engine() -> None:
    script = (
        "import sys, edge, bundle; print(sorted({'onnxruntime', 'torch', 'tensorrt', 'fastapi'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)

    assert ended.stdout.strip() == "[]"


def test_every_public_name_exists_and_no_other() -> None:
    assert all(getattr(edge, name).__name__ == name for name in edge.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = edge.Nonsense


def test_the_code_of_the_document_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every Python block of docs/python.md, one after the other, as a reader would type them."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / "pictures").mkdir()
    for number in range(1, 9):
        (tmp_path / "pictures" / f"{number}.png").write_bytes(encode_png(draw_part(7, number, 0.9).image))
    (tmp_path / "part.png").write_bytes((tmp_path / "pictures" / "1.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.DOTALL):
        exec(compile(block, "docs/python.md", "exec"), names)
    names["inspector"].close()  # type: ignore[attr-defined]

    said = capsys.readouterr().out
    assert (tmp_path / "part-defects.png").is_file()
    assert said.count(" NG ") >= 4
    assert "no-such-bundle" in said
    assert "no-such-part.png" in said


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"threads": 0}, "threads: found 0, expected 1 to 256"),
        ({"threads": 100_000}, "threads: found 100000, expected 1 to 256"),
        ({"unsure_margin": -0.1}, "unsure_margin: found -0.1, expected 0 to 1"),
        ({"unsure_margin": 2}, "unsure_margin: found 2, expected 0 to 1"),
        ({"mm_per_px": 0}, "mm_per_px: found 0, expected more than 0"),
        ({"mm_per_px": float("nan")}, "mm_per_px: found nan, expected more than 0"),
        ({"mm_per_px": float("inf")}, "mm_per_px: found inf, expected more than 0"),
    ],
)
def test_a_senseless_argument_is_refused(make_bundle: Make, keys: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        BundleInspector.open(make_bundle(), **keys)  # type: ignore[arg-type]


def test_a_picture_that_opencv_could_not_read_is_named_so(make_bundle: Make) -> None:
    with BundleInspector.open(make_bundle()) as inspector, pytest.raises(FrameError, match=r"found None, .*imread"):
        inspector.inspect(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["part.png", Path("part.png")])
def test_one_path_in_the_place_of_several_is_refused(make_bundle: Make, path: Path | str) -> None:
    with (
        BundleInspector.open(make_bundle()) as inspector,
        pytest.raises(TypeError, match=r"inspect_all: found the path part\.png, expected several images"),
    ):
        list(inspector.inspect_all(path))  # type: ignore[arg-type]


def test_the_tool_draws_a_picture_beside_its_outlines(make_bundle: Make, tmp_path: Path) -> None:
    (tmp_path / "part.png").write_bytes(encode_png(grey_frame(spot=255)))
    tool, out = ROOT / "tools" / "draw-verdicts", tmp_path / "found.png"
    words = [tool, make_bundle(), tmp_path / "part.png", "--out", out, "--height", "64"]
    subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    drawn = cv2.imread(str(out))
    assert drawn.shape == (64, 96, 3)
    assert (drawn[:, :48] != drawn[:, 48:]).any()

    for bundle, picture in ((tmp_path / "none", "part.png"), (words[1], "none.png"), (words[1], "words.png")):
        (tmp_path / "words.png").write_text("no picture")
        wrong = [sys.executable, tool, bundle, tmp_path / picture, "--out", out]
        ended = subprocess.run([*map(str, wrong)], capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
