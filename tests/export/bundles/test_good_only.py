"""A bundle of a network that knows good parts alone. These tests need torch and timm."""

import json
from base64 import b64encode
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

if find_spec("timm") is None or find_spec("torch") is None:
    pytest.skip("timm is not installed: pip install 'edge-inspect[pretrained]'", allow_module_level=True)

import torch

from bundle import Bundle, Threshold, Verdict, encode_png, load_bundle, preprocess, write_bundle
from export.bundles.assemble import assemble, drawn_frames, open_draft
from export.bundles.golden_frames import draw_frame
from export.cli import main
from export.errors import GraphError
from export.graph.cleanup import to_bytes
from export.graph.fp16 import halved
from export.graph.from_checkpoint import Source, read_source
from export.graph.qdq import quantisable, quantised_layers
from export.int8.accuracy_gate import MIN_RANK_AGREEMENT
from synthetic.tiles import draw_tile
from tests.torchvision_operators import declare_torchvision_operators
from train.data.anomaly import ANOMALY
from train.data.splits import Split
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, save_checkpoint
from train.recipe import load_recipe

SIDES = ["input.height=64", "input.width=64", "network.pretrained=false", "network.patches=40"]
TILES = ["input.height=96", "input.tiles.height=64", "input.tiles.width=64", "input.tiles.overlap=32"]

COLOUR = ["input.channels=3", "network.mean=[0.5,0.5,0.5]", "network.deviation=[0.2,0.2,0.2]"]


def drawn_parts(count: int) -> list[NDArray[np.uint8]]:
    """Good drawn parts, uint8 [64, 64] each."""
    pictures = (draw_tile(5, index, None).image for index in range(count))
    return [np.asarray(cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA), np.uint8) for picture in pictures]


def write_checkpoint(
    path: Path, *overrides: str, example: str | None = None, pictures: list[NDArray[np.uint8]] | None = None
) -> Path:
    """A memory of grey pictures, noisy ones by default, of which the first is the example."""
    declare_torchvision_operators()
    torch.manual_seed(1)
    recipe = load_recipe("good-only", [*SIDES, *overrides])
    network = make_network(recipe.network, recipe.input.channels, 1).eval()
    good = torch.randint(110, 130, (6, recipe.input.channels, 64, 64), dtype=torch.uint8)
    if pictures is not None:
        good = torch.from_numpy(np.stack(pictures))[:, None]
    with torch.inference_mode():
        rows = network.body.features(network.prepared(good)).permute(0, 2, 3, 1).flatten(0, 2)
        network.body.remember(rows, torch.Generator().manual_seed(0))
        found = network.body.distances(network.prepared(good)).amax(dim=(1, 2, 3))
    network.body.calibrate(found, 0.02)
    picture = good[0].numpy().transpose(1, 2, 0)
    meta = Meta(
        recipe=recipe,
        classes=(ANOMALY,),
        split=Split(kind="by-part", seed=0, images={}),
        thresholds={ANOMALY: Threshold(score=0.5)},
        epoch=1,
        metrics={"val": {"images": 6, "classes": [{"name": ANOMALY, "positives": 0}]}},
        example=b64encode(encode_png(picture[..., 0] if picture.shape[2] == 1 else picture)).decode()
        if example is None
        else example,
    )
    save_checkpoint(Checkpoint(meta, network.state_dict()), path)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return read_source(write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best.pt"))


@pytest.fixture(scope="module")
def bundle(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(source, tmp_path_factory.mktemp("bundles") / "good-only")


def bundle_of(source: Source, folder: Path) -> Bundle:
    """Export a checkpoint."""
    draft = assemble(source, "good-only", drawn_frames(source.input, source.example))
    write_bundle(folder, draft.manifest, draft.files)
    return load_bundle(folder)


def test_the_graph_has_plain_operators_only(bundle: Bundle) -> None:
    found = Counter(node.op_type for node in onnx.load_model_from_string(bundle.read_model()).graph.node)
    assert set(found) <= PLAIN


PLAIN = {
    "Add", "AveragePool", "Cast", "Clip", "Concat", "Conv", "Floor", "Max", "Min", "Mul", "Pad", "Pow", "ReduceMax",
    "ReduceMin", "ReduceSum", "Relu", "Resize", "Sigmoid", "Sqrt", "Sub",
}  # fmt: skip
"""Operators of TensorRT 10 without plug-ins (docs of onnx-tensorrt, operators.md)."""


def test_golden_frames_show_the_example_without_and_with_a_defect(bundle: Bundle, source: Source) -> None:
    assert np.array_equal(bundle.golden.frames[0], source.example)
    assert bundle.golden.scores[0, 0] < 0.6
    assert bundle.golden.scores[1:].min() > bundle.golden.scores[0, 0]
    assert len(np.unique(bundle.golden.masks)) > 20


def test_the_station_decides_by_the_calibrated_score(bundle: Bundle, source: Source) -> None:
    verdicts = []
    for kind in (None, "Blowhole"):
        frame = draw_frame(bundle.manifest.input, 1, kind, source.example)
        scores, masks = source.infer(bundle.prepare(frame)[np.newaxis])
        verdicts.append(bundle.decide(scores[0], masks[0], frame.shape[:2]).verdict)
    assert verdicts == [Verdict.OK, Verdict.NG]


def test_the_distance_stays_in_float_under_int8(bundle: Bundle) -> None:
    model = onnx.load_model_from_string(bundle.read_model())
    sides = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    memory = [
        node.name for node in model.graph.node if node.op_type == "Conv" and sides[node.input[1]][:2] == (40, 152)
    ]
    assert len(memory) == 1
    assert memory[0] not in quantisable(model)
    assert len(quantisable(model)) > 20


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that knows good drawn parts."""
    folder = tmp_path_factory.mktemp("drawn")
    checkpoint = write_checkpoint(folder / "best.pt", pictures=drawn_parts(6))
    return bundle_of(read_source(checkpoint), folder / "bundle")


@pytest.fixture(scope="module")
def good_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 32 good parts, of which the gate keeps eight."""
    folder = tmp_path_factory.mktemp("good")
    for number, picture in enumerate(drawn_parts(32)):
        (folder / f"{number:02}.png").write_bytes(encode_png(picture))
    return folder


def test_pictures_of_good_parts_make_an_int8_bundle(drawn: Bundle, good_parts: Path, tmp_path: Path) -> None:
    words = ("calibrate", drawn.folder, "--images", good_parts, "--out", tmp_path / "int8", "--method", "min-max")
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in (*words, "--threads", 1)])
    assert stop.value.code == 0
    made = load_bundle(tmp_path / "int8")
    report = json.loads((tmp_path / "int8.report" / "calibration.json").read_text())
    assert made.manifest.precision == "int8"
    assert len(quantised_layers(onnx.load(made.model))) > 20
    assert report["rank_agreement"] >= MIN_RANK_AGREEMENT
    assert report["after"]["escapes"]["count"] == 0 < report["after"]["escapes"]["total"]


def test_float16_holds_the_distances(bundle: Bundle) -> None:
    half = to_bytes(halved(onnx.load_model_from_string(bundle.read_model())))
    engine = open_draft(half, bundle.manifest, threads=1)
    scores = [engine.infer(bundle.prepare(frame)[np.newaxis])[0] for frame in bundle.golden.frames]
    assert np.abs(np.concatenate(scores) - bundle.golden.scores).max() < 0.02  # the tolerance of fp16


@pytest.mark.parametrize("overrides", [TILES, COLOUR], ids=["tiles", "colour"])
def test_tiles_and_colour_give_frames_of_the_camera(tmp_path: Path, overrides: list[str]) -> None:
    source = read_source(write_checkpoint(tmp_path / "best.pt", *overrides))
    good, defective = (draw_frame(source.input, 1, kind, source.example) for kind in (None, "Break"))
    assert good.shape == (source.input.height, source.input.width, 3)[: 3 if source.input.channels == 3 else 2]
    scores = [source.infer(preprocess(frame, source.input)[np.newaxis])[0][0, 0] for frame in (good, defective)]
    assert scores[0] < scores[1]


def test_a_damaged_example_is_one_line(tmp_path: Path) -> None:
    source = read_source(write_checkpoint(tmp_path / "best.pt", example="bm8gcGljdHVyZQ=="))
    with pytest.raises(GraphError, match="example: "):
        drawn_frames(source.input, source.example)
