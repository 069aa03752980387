"""Large pictures in tiles: from the frame to defects in frame pixels, and through a whole station."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bundle import Image, InputSpec, Manifest, Tiling, Verdict, encode_png
from edge import BundleInspector
from edge.cli import main
from edge.engines.engine import Outputs
from edge.engines.two_stage import TwoStageEngine
from edge.errors import EngineError
from tests.conftest import tiny_manifest
from tests.edge.line_doubles import NumpyEngine
from tests.edge.running_line import Run, run_line
from tests.tiled import LEVEL, TILED, first_of, picture_of, tiled_changes, write_staged, write_tiled

Box = tuple[int, int, int, int]

AREA = InputSpec(height=3000, width=4096, channels=1, tiles=Tiling(height=512, width=512, overlap=64))
STRIP = InputSpec(height=256, width=16384, channels=1, tiles=Tiling(height=256, width=512, overlap=64))
SCRATCHES: dict[str, tuple[InputSpec, list[Box]]] = {
    "4096x3000": (
        AREA,
        [
            (1000, 700, 120, 6),
            (470, 1204, 6, 90),  # in the overlap of the first two columns
            (4090, 2910, 6, 90),  # in the corner
            (400, 1660, 800, 6),  # through three tiles
        ],
    ),
    "16384x256": (STRIP, [(0, 10, 6, 60), (16378, 190, 6, 66), (448, 100, 6, 40), (7000, 120, 2400, 6)]),
}


@pytest.mark.parametrize("write", [write_tiled, write_staged])
@pytest.mark.parametrize("name", SCRATCHES)
def test_each_scratch_of_six_pixels_is_found_once_with_its_box_and_area(
    tmp_path: Path, name: str, write: Callable[..., Path]
) -> None:
    spec, scratches = SCRATCHES[name]
    with BundleInspector.open(write(tmp_path / "tiled", spec), threads=1, mm_per_px=0.1) as inspector:
        good, bad = inspector.inspect_all([picture_of(spec), picture_of(spec, *scratches)])

    assert good.verdict is Verdict.OK
    assert bad.verdict is Verdict.NG
    assert {defect.box for defect in bad.defects} == set(scratches)
    assert len(bad.defects) == len(scratches)
    for defect in bad.defects:
        x, y, width, height = defect.box
        assert defect.area_px == width * height
        assert defect.area_mm2 == pytest.approx(width * height * 0.01)
        assert np.count_nonzero(defect.mask) == np.count_nonzero(defect.mask[y : y + height, x : x + width])
        assert np.count_nonzero(defect.mask) == width * height


@pytest.mark.parametrize("name", SCRATCHES)
def test_without_tiles_the_same_network_does_not_see_them(tmp_path: Path, name: str) -> None:
    spec, scratches = SCRATCHES[name]
    small = InputSpec(height=256, width=512, channels=1)
    with BundleInspector.open(write_tiled(tmp_path / "untiled", small), threads=1) as inspector:
        shrunk = [box for box in scratches if box[2] < 1000]  # one along the strip keeps its width
        assert inspector.inspect(picture_of(spec, *shrunk)).verdict is Verdict.OK


def test_scratches_that_meet_across_a_corner_of_four_tiles_are_one_defect(tmp_path: Path) -> None:
    middle = (70 // 2 - 3, 54 // 2 - 3)
    cross = [(4, middle[0], 46, 6), (middle[1], 6, 6, 58)]
    with BundleInspector.open(write_tiled(tmp_path / "tiled"), threads=1) as inspector:
        (defect,) = inspector.inspect(picture_of(TILED, *cross)).defects

    assert defect.box == (4, 6, 46, 58)
    assert defect.area_px == 46 * 6 + 58 * 6 - 36


def test_files_of_another_size_are_a_fault_and_the_others_are_inspected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(encode_png(picture_of(TILED, (20, 30, 6, 6))))
    (pictures / "b.png").write_bytes(encode_png(picture_of(TILED.network)))
    with pytest.raises(SystemExit):
        main(["inspect", str(write_tiled(tmp_path / "tiled")), str(pictures), "--pictures", str(tmp_path / "drawn")])

    said = capsys.readouterr().out
    assert "a.png: NG  Bright 1.00, 36 px" in said
    assert "b.png: FAULT  frame: found 12x16, expected 54x70" in said
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["0001-a.png"]


class BlindStage(NumpyEngine):
    """Fails on a picture with a bright place."""

    def _infer(self, inputs: Image) -> Outputs:
        if inputs.max() > 200:
            raise EngineError("first stage: failed as asked")
        return super()._infer(inputs)


class NumpyStages(TwoStageEngine):
    """The tiny network in tiles behind a first stage that fails."""

    def __init__(self, manifest: Manifest, gate: threading.Event) -> None:
        first = BlindStage(tiny_manifest(**tiled_changes(first_of(TILED))))
        super().__init__(first, NumpyEngine(manifest, gate=gate), LEVEL)


def test_a_part_on_which_the_first_stage_fails_is_a_fault_and_the_next_is_judged(tmp_path: Path) -> None:
    write_staged(tmp_path / "staged")
    frames = [picture_of(TILED), picture_of(TILED, (8, 20, 36, 6)), picture_of(TILED)]
    with run_line(tmp_path, frames, {"bundle": "staged"}, engine_kind=NumpyStages) as line:
        assert line.verdicts(1, 2, 3) == ["OK", "FAULT", "OK"]
    assert line.rows("SELECT fault FROM parts WHERE verdict = 5") == [("first stage: failed as asked",)]


def test_a_station_judges_records_and_draws_pictures_in_tiles(run: Run, tmp_path: Path) -> None:
    write_tiled(tmp_path / "tiled")
    scratch = (8, 20, 36, 6)
    frames = [picture_of(TILED, scratch), picture_of(TILED)]
    with run(frames, bundle="tiled", pictures={"folder": "pictures"}) as line:
        assert line.verdicts(1, 2) == ["NG", "OK"]
        manifest = line.runtime.inspector.bundle.manifest
    assert line.rows("SELECT x, y, width, height FROM defects") == [scratch]
    (kept,) = line.pictures()
    assert kept.startswith("reject/")
    assert manifest.input == TILED


def test_an_ignore_region_hides_a_defect_at_a_seam(run: Run, tmp_path: Path) -> None:
    write_tiled(tmp_path / "tiled")
    ignored = np.zeros((TILED.height, TILED.width), np.uint8)
    ignored[18:28, :] = 255
    (tmp_path / "ignore.png").write_bytes(encode_png(ignored))
    frames = [picture_of(TILED, (8, 20, 36, 6)), picture_of(TILED, (8, 20, 36, 6), (8, 40, 6, 6))]
    with run(frames, bundle="tiled", camera=[{"address": "film://a", "ignore": "ignore.png"}]) as line:
        assert line.verdicts(1, 2) == ["OK", "NG"]


def test_a_frame_of_another_size_is_a_fault_of_this_part(run: Run, tmp_path: Path) -> None:
    write_tiled(tmp_path / "tiled")
    with run([picture_of(TILED.network), picture_of(TILED)], bundle="tiled") as line:
        assert line.verdicts(1, 2) == ["FAULT", "OK"]
