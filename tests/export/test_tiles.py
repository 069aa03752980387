"""Bundles in tiles: golden frames, evaluation and INT8 calibration on whole pictures."""

import json

import numpy as np
import onnx
import pytest

from bundle import Crop, InputSpec, Tiling, encode_png, load_bundle
from edge.engines.registry import open_engine
from export.bundles.golden_frames import draw_frame
from export.cli import main
from export.errors import CalibrationError
from export.graph.qdq import activations_of, quantisable, quantised_layers
from export.int8.activations import Probe
from export.int8.calibration_images import collect
from synthetic.tiles import CLASSES
from tests.export.networks import can_model, levels_model, write_tiny_bundle

SQUARES = InputSpec(height=64, width=48, channels=1, tiles=Tiling(height=24, width=24, overlap=8, batch=3))
"""The squares of the data set lie across the seams."""

PICTURES = InputSpec(height=128, width=96, channels=1, tiles=Tiling(height=64, width=64, overlap=16, batch=4))
TILES = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "tiled"
    return load_bundle(write_tiny_bundle(folder, can_model(PICTURES), PICTURES))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve pictures of drawn parts."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(12):
        frame = draw_frame(PICTURES, 50 + index, (None, *CLASSES)[index % 6])
        (folder / f"{index:02}.png").write_bytes(encode_png(frame))
    return folder


def command(*arguments):
    """Run the command line; returns how it ends."""
    try:
        main([str(argument) for argument in (*arguments, "--threads", 1)])
    except SystemExit as stop:
        return stop.code
    return None


def test_golden_frames_are_whole_pictures_a_good_and_a_defective_one(bundle):
    frames, scores = bundle.golden.frames, bundle.golden.scores.max(axis=1)

    assert [frame.shape for frame in frames] == [(128, 96)] * 2
    assert bundle.golden.masks.shape == (2, 5, 32, 24)
    assert len({frame.tobytes() for frame in frames}) == 2
    assert (scores > 0).all()


def test_a_picture_of_many_parts_shows_defects_in_their_own_size():
    spec = InputSpec(height=900, width=1000, channels=3, tiles=Tiling(height=256, width=256))
    good, bad = draw_frame(spec, 0, None), draw_frame(spec, 0, "Blowhole")

    assert good.shape == bad.shape == (900, 1000, 3)
    changed = (good != bad).any(axis=2)
    assert 0.0005 < changed.mean() < 0.2
    assert not changed[:400, 300:900].any()  # the second and third part of the first row are good


def test_a_picture_of_many_parts_lies_in_the_crop():
    crop = Crop(x=7, y=5, width=96, height=128)

    assert draw_frame(PICTURES.model_copy(update={"crop": crop}), 0, None).shape == (133, 103)


def test_squares_across_seams_are_measured_as_in_the_whole_picture(squares, tmp_path):
    out = tmp_path / "figures.json"
    folder = write_tiny_bundle(tmp_path / "tiled", levels_model(SQUARES), SQUARES)
    command("evaluate", folder, "--data", squares, "--json", out)
    metrics = json.loads(out.read_text())["metrics"]

    assert [one["iou_pooled"] for one in metrics["classes"]] == [1.0] * 5
    assert metrics["escapes"]["count"] == metrics["false_rejects"]["count"] == 0
    assert metrics["accuracy_pairs"] == 1.0


def test_an_int8_bundle_in_tiles_comes_out(bundle, pictures, tmp_path):
    out = tmp_path / "int8"
    assert command("calibrate", bundle.folder, "--images", pictures, "--out", out, "--max-drop", 1) == 0
    made = load_bundle(out)
    opened = open_engine("onnxruntime", made, threads=1)  # its golden frames hold

    assert (made.manifest.format, made.manifest.input) == (2, PICTURES)
    assert len(quantised_layers(onnx.load(made.model))) == 13
    assert opened.begin([made.golden.frames[0]])()[1].shape == (1, 5, 32, 24)


def test_calibration_runs_each_tile_and_counts_it(bundle, pictures):
    found = collect(pictures, bundle, resize=False, limit=10, force=False)
    model = onnx.load(bundle.model)
    (first,) = activations_of(model, quantisable(model))[:1]
    probe = Probe(model, [first], 1, bundle.manifest.tile_grid)
    shown = list(probe.frames(found.inputs))

    assert (len(found.inputs), probe.runs_per_frame) == (6, TILES)
    assert len(shown) == 6 * TILES
    assert {tensors[first].shape[2:] for tensors in shown} == {(16, 16)}


@pytest.mark.parametrize("resize", [False, True])
def test_calibration_refuses_a_picture_of_another_size(bundle, tmp_path, resize):
    (tmp_path / "a.png").write_bytes(encode_png(np.zeros((64, 64), np.uint8)))

    with pytest.raises(CalibrationError, match=r"a\.png: frame: found 64x64, expected 96x128"):
        collect(tmp_path, bundle, resize=resize, limit=10, force=True)
