"""The accuracy gate: comparisons, objections, and refusals to judge."""

import re
import shutil

import cv2
import numpy as np
import onnx
import pytest

from bundle import InputSpec, Tiling, encode_png, load_bundle
from edge.engines.registry import open_engine
from export.evaluate.batched_inference import run
from export.graph.qdq import quantised_layers
from export.int8.accuracy_gate import Gate, GateResult
from export.int8.calibration_images import collect
from export.int8.gate_images import agreement_truth, unlabelled_gate_images
from synthetic.tiles import CLASSES
from tests.export.int8.test_calibrate import command
from tests.export.networks import anomaly_model, spec_of, write_tiny_bundle
from train.data.anomaly import ANOMALY
from train.evaluate.metrics import measure
from train.evaluate.outputs import Outputs, predictions
from train.evaluate.prediction import Prediction

SPEC = spec_of(64, 64)


def test_a_further_escape_is_an_objection_whatever_the_metric(bundle, pictures):
    inputs = collect(pictures, bundle, resize=False, limit=256, force=False).inputs
    outputs = run(open_engine("onnxruntime", bundle, 1).infer, inputs)
    truth = agreement_truth(outputs, inputs, bundle.manifest)
    manifest = bundle.manifest
    before = measure(predictions(outputs, truth, manifest.thresholds), manifest.classes)
    worse = before.model_copy(update={"escapes": before.escapes.model_copy(update={"count": before.escapes.count + 1})})
    gate = Gate("accuracy_pairs", 0.01)
    assert gate.metrics_objection(before, before) is None
    assert "1 escapes instead of 0" in str(gate.metrics_objection(before, worse))


def result_of(scores, false_rejects):
    """Gate result of images whose scores are known; ten are good."""
    scores = np.array(scores, np.float32)[:, np.newaxis]
    truth = np.arange(len(scores)) >= 10
    rejected = truth.copy()
    rejected[:false_rejects] = True
    rows = [
        Prediction(
            labels=np.array([bad]), outlined=np.array([True]), scores=score, found=np.array([found]),
            intersection=np.array([int(bad)]), union=np.array([int(bad)]), truth_area=np.array([int(bad)]),
            any_intersection=int(bad), any_union=int(bad),
        )
        for bad, score, found in zip(truth, scores, rejected, strict=True)
    ]  # fmt: skip
    return GateResult(Outputs(scores, np.zeros((len(scores), 1, 1, 1), np.uint8)), measure(rows, ["Anomaly"]))


def test_a_network_of_good_parts_must_keep_the_order_of_its_scores():
    rising = np.linspace(0, 1, 20)
    gate = Gate("mean_iou_positives", 0.05, knows_good_alone=True)
    before = result_of(rising, 0)

    assert gate.objection(before, before) is None
    assert gate.rank_agreement(before, result_of(rising**3, 0)) == 1
    assert gate.rank_agreement(before, result_of(rising + 0.03 * (-1) ** np.arange(20), 0)) == 1  # within the tolerance
    assert "ranks of the scores agree by 0." in gate.objection(before, result_of(rising % 0.3, 0))
    assert "ranks of the scores agree by 0.000" in gate.objection(before, result_of(np.zeros(20), 0))
    assert "ranks of the scores agree by nan" in gate.objection(result_of(np.zeros(20), 0), before)
    assert Gate("mean_iou_positives", 0.05).objection(before, result_of(rising % 0.3, 0)) is None


def test_a_network_of_good_parts_must_not_reject_more_good_ones():
    before, after = (result_of(np.linspace(0, 1, 20), count) for count in (0, 1))

    assert Gate("mean_iou_positives", 0.05, True).objection(before, after) == "1 false rejects instead of 0"
    assert Gate("mean_iou_positives", 0.1, True).objection(before, after) is None


@pytest.fixture(params=[None, Tiling(height=64, width=64, overlap=16, batch=4)], ids=["whole", "tiles"])
def good_alone(request, tmp_path):
    """A bundle that knows good parts alone, with a folder of sixteen good pictures."""
    spec = InputSpec(height=128, width=96, channels=1, tiles=request.param)
    folder = tmp_path / "grey"
    folder.mkdir()
    slope = np.linspace(-8, 8, 96) + np.zeros((128, 1))
    rng = np.random.default_rng(0)
    for number in range(16):
        frame = (119 + slope + rng.normal(0, 1, slope.shape)).astype(np.uint8)
        (folder / f"{number:02}.png").write_bytes(encode_png(frame))
    return write_tiny_bundle(tmp_path / "good", anomaly_model(spec), spec, classes=(ANOMALY,)), folder


def test_drawn_defects_judge_a_network_of_good_parts(good_alone, tmp_path):
    bundle, folder = good_alone
    assert (
        command("calibrate", bundle, "--images", folder, "--out", tmp_path / "int8", "--force", "--max-drop", 0.2) == 0
    )
    made = load_bundle(tmp_path / "int8")
    opened = open_engine("onnxruntime", made, threads=1)  # its golden frames hold
    told = made.manifest.made_from.comparison["int8 with fp32"]

    assert re.fullmatch(
        r"4 other pictures, by the fp32 bundle's own decisions, [4-7] of [67] copies with a drawn defect and golden "
        "frames",
        told["judged_on"],
    )
    assert told["calibrated_on"] == "16 pictures of grey and 12 drawn defects"
    assert told["rank_agreement"] >= 0.95
    assert told["escapes"] == [0, 0]
    assert quantised_layers(onnx.load(made.model)) == ["apart"]
    assert opened.begin([made.golden.frames[1]])()[0].max() > 0.5
    assert "Pairs of images in the same order" in (tmp_path / "int8.report" / "calibration.html").read_text()


def test_labelled_good_pictures_get_drawn_defects_too(good_alone, tmp_path):
    bundle, folder = good_alone
    data = tmp_path / "data"
    for path in sorted(folder.iterdir()):
        frame = cv2.add(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), 1)
        target = data / "images" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode_png(frame))
    options = (
        "--images",
        folder,
        "--out",
        tmp_path / "int8",
        "--force",
        "--data",
        data,
        "--part",
        "all",
        "--max-drop",
        0.2,
    )

    assert command("calibrate", bundle, *options) == 0
    told = load_bundle(tmp_path / "int8").manifest.made_from.comparison["int8 with fp32"]
    assert re.match(r"16 images of data, part all, 1[0-9] of 1[89] copies with a drawn defect", told["judged_on"])


def only_good(squares, folder):
    """Copy the squares without their defective parts."""
    return shutil.copytree(squares, folder, ignore=shutil.ignore_patterns(*(f"MT_{name}" for name in CLASSES)))


def not_outlined(squares, folder):
    """Copy the squares with empty masks."""
    shutil.copytree(squares, folder)
    for path in folder.rglob("*.png"):
        path.write_bytes(encode_png(np.zeros((64, 48), np.uint8)))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (only_good, "accuracy gate: found no image with a defect in 16 images of magnetic-tile, part all"),
        (not_outlined, "accuracy gate: found no data for mean_iou_positives in 56 images of magnetic-tile, part all"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_gate_without_data_refuses(fragile, squares, squares_as_pictures, tmp_path, change, message):
    data = change(squares, tmp_path / change.__name__)
    options = ("--images", squares_as_pictures, "--data", data, "--part", "all", "--out", tmp_path / "int8")
    assert message in str(command("calibrate", fragile, *options))
    assert not (tmp_path / "int8").exists()


def test_a_gate_without_labels_refuses_pictures_in_which_fp32_finds_nothing(fragile, tmp_path):
    folder = tmp_path / "good"
    folder.mkdir()
    dark = np.linspace(0, 20, 48) + np.linspace(0, 10, 64)[:, np.newaxis]
    for level in range(32):
        (folder / f"{level}.png").write_bytes(encode_png((dark + level / 2).astype(np.uint8)))
    said = command("calibrate", fragile, "--images", folder, "--out", tmp_path / "int8")
    assert "accuracy gate: found no image with a defect in 8 other pictures, by the fp32 bundle's own decisions" in said
    assert not (tmp_path / "int8").exists()


def test_a_metric_without_data_is_an_objection(bundle, pictures):
    inputs = collect(pictures, bundle, resize=False, limit=256, force=False).inputs
    outputs = run(open_engine("onnxruntime", bundle, 1).infer, inputs)
    truth = agreement_truth(outputs, inputs, bundle.manifest)
    found = measure(predictions(outputs, truth, bundle.manifest.thresholds), bundle.manifest.classes)
    without_outlines = found.model_copy(update={"mean_iou_positives": None})
    assert (
        Gate("mean_iou_positives", 1.0).metrics_objection(without_outlines, found) == "mean_iou_positives has no data"
    )


def test_a_network_agrees_with_itself_in_every_measure(bundle, pictures):
    inputs = collect(pictures, bundle, resize=False, limit=256, force=False).inputs
    outputs = run(open_engine("onnxruntime", bundle, 1).infer, inputs)
    truth = agreement_truth(outputs, inputs, bundle.manifest)
    metrics = measure(predictions(outputs, truth, bundle.manifest.thresholds), bundle.manifest.classes)
    assert 0 < metrics.good < 40
    assert metrics.mean_iou_pairs == metrics.accuracy_pairs == metrics.mean_iou_positives == 1.0


def test_without_labels_every_fourth_picture_judges(bundle, pictures):
    gate_images = unlabelled_gate_images(
        bundle, collect(pictures, bundle, resize=False, limit=256, force=False), threads=1
    )
    assert (len(gate_images.images), len(gate_images.pictures.inputs)) == (10, 30)
