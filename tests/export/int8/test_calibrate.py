"""`edge-export calibrate`: pictures in, an INT8 bundle past the gate out, or none."""

import json
from dataclasses import replace

import onnx
import pytest

from bundle import BundleError, load_bundle, write_bundle
from edge.engines.registry import open_engine
from export.cli import main
from export.errors import CalibrationError, GateError, LabelsError
from export.graph.qdq import quantised_layers
from export.int8.accuracy_gate import Gate, gate_on
from export.int8.calibration_images import collect
from export.int8.gate_images import labelled_gate_images
from train.data.readers import read_dataset
from train.data.splits import make_split


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


def test_nothing_is_judged_on_what_it_was_calibrated_on(levels_bundle, squares):
    loaded = load_bundle(levels_bundle)
    taken = collect(squares, loaded, resize=False, limit=28, force=True)
    assert len(taken.inputs) == 28
    assert len(labelled_gate_images(loaded, taken, squares, None, "all").images) == 28
    everything = collect(squares, loaded, resize=False, limit=256, force=False)
    with pytest.raises(LabelsError, match="calibration has seen all 56"):
        labelled_gate_images(loaded, everything, squares, None, "all")


def test_the_gate_names_the_part_that_judged(levels_bundle, squares, squares_as_pictures):
    loaded = load_bundle(levels_bundle)
    split = make_split(read_dataset(squares), "random", seed=1).model_dump(mode="json")
    origin = loaded.manifest.made_from.model_copy(update={"split": split})
    trained = replace(loaded, manifest=loaded.manifest.model_copy(update={"made_from": origin}))
    taken = collect(squares_as_pictures, loaded, resize=False, limit=256, force=False)

    assert labelled_gate_images(trained, taken, squares, "test", "val").description.endswith("part test")


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
