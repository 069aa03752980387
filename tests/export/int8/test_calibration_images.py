"""Pictures to calibrate on: those that are taken, refused or warned of."""

import json

import numpy as np
import pytest

from bundle import FrameError, encode_png, load_bundle
from export.errors import CalibrationError
from export.int8.calibration_images import collect, relation
from synthetic.tiles import draw_tile
from tests.export.int8.test_calibrate import command
from tests.export.networks import outlier_model, spec_of, write_tiny_bundle


def test_masks_beside_pictures_are_no_pictures(levels_bundle, squares):
    assert len(collect(squares, load_bundle(levels_bundle), resize=False, limit=256, force=False).inputs) == 56


def take(folder, bundle, **options):
    return collect(folder, bundle, **{"resize": False, "limit": 256, "force": False} | options)


def test_an_empty_folder_is_refused(bundle, tmp_path):
    with pytest.raises(CalibrationError, match="found no pictures"):
        take(tmp_path, bundle)


def test_a_missing_folder_is_refused(bundle, tmp_path):
    with pytest.raises(CalibrationError, match="no such folder"):
        take(tmp_path / "nothing", bundle)


def test_few_pictures_need_force(bundle, pictures, tmp_path):
    for path in sorted(pictures.iterdir())[:5]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CalibrationError, match=r"found 5 pictures .* expected at least 32"):
        take(tmp_path, bundle)
    assert len(take(tmp_path, bundle, force=True).inputs) == 5


def test_a_limit_that_leaves_too_few_is_told(bundle, pictures):
    with pytest.raises(CalibrationError, match=r"of which --limit 20 leaves 20, expected at least 32; raise --limit"):
        take(pictures, bundle, limit=20)


def test_pictures_of_another_size_need_a_word(bundle, tmp_path):
    for index in range(32):
        (tmp_path / f"{index}.png").write_bytes(encode_png(draw_tile(1, index, None).image))
    with pytest.raises(CalibrationError, match=r"expected the network's input, 64x64 .* use --resize"):
        take(tmp_path, bundle)
    assert take(tmp_path, bundle, resize=True).inputs.shape == (32, 1, 64, 64)


@pytest.mark.parametrize("kind", ["noise", "blank"])
def test_noise_and_blank_frames_are_refused(bundle, tmp_path, kind):
    rng = np.random.default_rng(0)
    for index in range(32):
        frame = rng.integers(0, 256, (64, 64), dtype=np.uint8) if kind == "noise" else np.full((64, 64), 9, np.uint8)
        (tmp_path / f"{index}.png").write_bytes(encode_png(frame))
    with pytest.raises(CalibrationError, match="unrelated"):
        take(tmp_path, bundle)


def test_drawn_parts_are_far_from_noise():
    assert min(relation(draw_tile(2, index, None).image) for index in range(8)) > 0.5


def test_a_damaged_picture_is_one_line(bundle, pictures, tmp_path):
    for path in pictures.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / "part07.png"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    with pytest.raises(FrameError, match=r"part07\.png"):
        take(tmp_path, bundle)
    said = command("calibrate", bundle.folder, "--images", tmp_path, "--out", tmp_path / "out")
    assert "part07.png" in said
    assert not (tmp_path / "out").exists()


def test_a_class_that_no_frame_shows_is_warned_of(levels_bundle, squares, tmp_path):
    """The set has good parts, Break and Fray."""
    folder = tmp_path / "some"
    folder.mkdir()
    chosen = [path for kind in ("Free", "Break", "Fray") for path in squares.rglob(f"MT_{kind}/Imgs/*.jpg")]
    for path in chosen:
        (folder / path.name).write_bytes(path.read_bytes())
    bundle = write_tiny_bundle(tmp_path / "f", outlier_model(spec_of()), spec_of())
    command("calibrate", bundle, "--images", folder, "--out", tmp_path / "int8", "--max-drop", 1)
    report = json.loads((tmp_path / "int8.report" / "calibration.json").read_text())
    assert "show no Blowhole, Crack, Uneven" in report["warnings"][0]
