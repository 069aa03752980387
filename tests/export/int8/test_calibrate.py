"""`edge-export calibrate`: pictures in, an INT8 bundle past the gate out, or none."""

import json
import re
import shutil

import cv2
import numpy as np
import onnx
import pytest

from bundle import BundleError, FrameError, InputSpec, Tiling, encode_png, load_bundle, write_bundle
from edge.engines.registry import open_engine
from export.cli import main
from export.errors import CalibrationError, GateError, LabelsError
from export.evaluate.batched_inference import run
from export.graph.qdq import quantised_layers
from export.int8.accuracy_gate import Gate, GateResult, gate_on
from export.int8.calibration_images import collect, relation
from export.int8.gate_images import agreement_truth, labelled_gate_images, unlabelled_gate_images
from synthetic.tiles import CLASSES, draw_tile
from tests.export.networks import anomaly_model, can_model, outlier_model, spec_of, write_tiny_bundle
from train.data.anomaly import ANOMALY
from train.evaluate.metrics import measure
from train.evaluate.outputs import Outputs, predictions
from train.evaluate.prediction import Prediction

SPEC = spec_of(64, 64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "can", can_model(SPEC), SPEC))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty drawn parts as PNG, 64 x 64."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(40):
        image = draw_tile(5, index, (None, *CLASSES)[index % 6]).image
        (folder / f"part{index:02}.png").write_bytes(encode_png(cv2.resize(image, (64, 64), interpolation=3)))
    return folder


def command(*arguments):
    """Run the command line; returns the one line that ends it, or None."""
    try:
        main([str(argument) for argument in (*arguments, "--threads", 1)])
    except SystemExit as stop:
        return stop.code
    return None


def test_an_int8_bundle_comes_out(bundle, pictures, tmp_path):
    out = tmp_path / "int8"
    assert command("calibrate", bundle.folder, "--images", pictures, "--out", out, "--max-drop", 1) == 0
    made = load_bundle(out)
    open_engine("onnxruntime", made, threads=1)  # its golden frames hold
    assert made.manifest.precision == "int8"
    assert made.manifest.name == "int8"
    assert made.manifest.thresholds == bundle.manifest.thresholds
    assert quantised_layers(onnx.load(made.model)) == [f"layers.{number}.0" for number in range(13)]
    told = made.manifest.made_from.comparison["int8 with fp32"]
    assert told["source"] == bundle.id
    assert told["kept_in_float"] == ["head"]
    assert told["weight_bits"] == 7


def test_the_report_has_layers_methods_and_measures(bundle, pictures, tmp_path):
    command("calibrate", bundle.folder, "--images", pictures, "--out", tmp_path / "int8", "--max-drop", 1)
    report = json.loads((tmp_path / "int8.report" / "calibration.json").read_text())
    assert [method["method"] for method in report["methods"]] == ["min-max", "percentile", "mse", "entropy"]
    best = min(report["methods"], key=lambda method: method["mean_mask_difference"])
    assert report["method"] == best["method"]
    assert [layer["name"] for layer in report["layers"]][-1] == "head"
    assert report["layers"][-1]["kept_because"].startswith("makes the outputs")
    assert report["layers"][0]["signal_to_noise_db"] > 25
    assert report["judged_on"].startswith("10 other pictures")
    assert report["bundle_id"] == load_bundle(tmp_path / "int8").id
    assert report["cost_after"]["model_bytes"] < report["cost_before"]["model_bytes"]
    page = (tmp_path / "int8.report" / "calibration.html").read_text()
    assert "layers.12.0" in page
    assert page.count("<img") == min(len(report["changed"]), 24)


def test_the_rest_in_half_precision(bundle, pictures, tmp_path):
    out = tmp_path / "int8"
    options = ("--method", "min-max", "--around", "fp16", "--max-drop", 1)
    assert command("calibrate", bundle.folder, "--images", pictures, "--out", out, *options) == 0
    kinds = {tensor.data_type for tensor in onnx.load(out / "model.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds


@pytest.fixture
def squares_as_pictures(squares, tmp_path):
    """Squares to calibrate on that the labelled ones do not hold: the same parts, a grey level darker."""
    folder = tmp_path / "calibrate"
    folder.mkdir()
    for index, path in enumerate(sorted(squares.rglob("*.jpg"))):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        (folder / f"{index}.png").write_bytes(encode_png(cv2.subtract(image, 1)))
    return folder


@pytest.fixture
def fragile(tmp_path):
    """A bundle with an outlier that INT8 cannot hold; see `outlier_model`."""
    spec = spec_of()
    return write_tiny_bundle(tmp_path / "fragile", outlier_model(spec), spec)


def test_a_network_with_an_outlier_passes_the_gate_in_mixed_precision(fragile, squares, squares_as_pictures, tmp_path):
    out = tmp_path / "int8"
    options = ("--data", squares, "--part", "all")
    assert command("calibrate", fragile, "--images", squares_as_pictures, "--out", out, *options) == 0
    report = json.loads((tmp_path / "int8.report" / "calibration.json").read_text())
    first, last = report["steps"][0], report["steps"][-1]
    assert first["kept"] == []
    assert first["objection"] is not None
    assert last["kept"] == ["levels"]
    assert last["objection"] is None
    by_name = {layer["name"]: layer for layer in report["layers"]}
    assert by_name["levels"]["alone_mask_difference"] > 10 * by_name["loud"]["alone_mask_difference"]
    assert by_name["levels"]["kept_because"].startswith("sensitive")
    assert report["after"]["escapes"]["count"] == 0
    assert quantised_layers(onnx.load(out / "model.onnx")) == ["loud"]


def test_the_gate_lets_nothing_through_that_it_should_not(fragile, squares, squares_as_pictures, tmp_path):
    """Of two layers at most one may be kept; here neither may."""
    from export.int8.calibrate import Calibration, CalibrationSettings
    from export.int8.calibration_files import write_calibration

    loaded = load_bundle(fragile)
    taken = collect(squares_as_pictures, loaded, resize=False, limit=256, force=False)
    gate_images = labelled_gate_images(loaded, taken, squares, None, "all")
    calibration = Calibration(
        loaded, "int8", gate_images.pictures, CalibrationSettings(Gate("mean_iou_positives", -0.5), threads=1)
    )
    result = calibration.run(gate_images.images, gate_images.description, True, "2026-01-01")
    assert len(result.report.steps) == 2
    with pytest.raises(GateError, match="not written: mean_iou_positives lower by"):
        write_calibration(result, gate_images.images, tmp_path / "int8", tmp_path / "report")
    assert not (tmp_path / "int8").exists()
    assert "No bundle was written" in (tmp_path / "report" / "calibration.html").read_text()
    assert json.loads((tmp_path / "report" / "calibration.json").read_text())["bundle_id"] is None


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


def test_nothing_is_judged_on_what_it_was_calibrated_on(levels_bundle, squares):
    loaded = load_bundle(levels_bundle)
    taken = collect(squares, loaded, resize=False, limit=28, force=True)
    assert len(taken.inputs) == 28
    assert len(labelled_gate_images(loaded, taken, squares, None, "all").images) == 28
    everything = collect(squares, loaded, resize=False, limit=256, force=False)
    with pytest.raises(LabelsError, match="calibration has seen all 56"):
        labelled_gate_images(loaded, everything, squares, None, "all")


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


def test_an_int8_bundle_is_not_quantised_again(bundle, pictures, tmp_path):
    command("calibrate", bundle.folder, "--images", pictures, "--out", tmp_path / "int8", "--max-drop", 1)
    said = command("calibrate", tmp_path / "int8", "--images", pictures, "--out", tmp_path / "again")
    assert "found precision int8, expected fp32" in said


def test_an_existing_folder_is_refused_first(bundle, tmp_path):
    said = command("calibrate", bundle.folder, "--images", tmp_path / "nothing", "--out", tmp_path)
    assert "exists already" in said


@pytest.mark.parametrize("metric", ["mean_iou", "false_rejects_at_no_escape", "images"])
def test_a_metric_that_no_gate_can_use_is_refused(metric):
    with pytest.raises(CalibrationError, match="expected one of accuracy_pairs, mean_iou_pairs"):
        gate_on(metric, 0.01)


def test_bundle_errors_stay_bundle_errors(tmp_path):
    with pytest.raises(BundleError):
        load_bundle(tmp_path)


def test_a_bundle_that_would_not_go_on_line_is_not_calibrated(fragile, squares, squares_as_pictures, tmp_path):
    good = load_bundle(fragile)
    files = {path.relative_to(fragile).as_posix(): path.read_bytes() for path in fragile.rglob("*.*")}
    one, other = sorted(name for name in files if name.startswith("golden/frame"))[:2]
    files[one], files[other] = files[other], files[one]
    files.pop("manifest.json")
    write_bundle(tmp_path / "swapped", good.manifest, files)
    options = ("--images", squares_as_pictures, "--data", squares, "--part", "all", "--out", tmp_path / "int8")

    assert "do not go on line" in str(command("calibrate", tmp_path / "swapped", *options))
    assert not (tmp_path / "int8").exists()
