"""Assembly of a bundle: graph, manifest, golden frames, comparison with torch."""

import hashlib
import platform
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bundle import Bundle, Golden, Image, InputSpec, MadeFrom, Manifest, Precision, preprocess
from bundle.folder import MODEL
from bundle.golden import encode
from edge.engines.engine import Engine
from edge.engines.onnxruntime_cpu import OnnxruntimeEngine
from export.bundles.golden_frames import TOLERANCES, answered, draw_golden, draw_inputs
from export.choices import Around
from export.errors import ComparisonError, LabelsError
from export.evaluate.batched_inference import Bar, run
from export.evaluate.compare_outputs import compare_outputs
from export.graph.cleanup import to_bytes
from export.graph.fp16 import halved
from export.graph.signature import check_graph
from train.data.readers import read_dataset
from train.data.splits import Split, part_counts
from train.errors import SplitError

if TYPE_CHECKING:
    from export.graph.from_checkpoint import Source

DRAWN, TILED_DRAWN = 24, 2
"""Frames drawn for the comparison where no real ones are given; with tiles a frame shows many parts."""


class Frames(NamedTuple):
    """Preprocessed frames, uint8 [N, C, H, W], with a description."""

    inputs: Image
    description: str


class Draft(NamedTuple):
    """Content of a bundle before it is written; see `write_bundle`."""

    manifest: Manifest
    files: dict[str, bytes]


def drawn_frames(spec: InputSpec, example: Image | None = None) -> Frames:
    """Drawn frames; see `draw_frame`."""
    count = DRAWN if spec.tiles is None else TILED_DRAWN
    inputs = draw_inputs(spec, count, example)
    return Frames(inputs, f"{count} drawn parts" if spec.tiles is None else f"{count} drawn pictures")


def real_frames(spec: InputSpec, split: Split, data: Path) -> Frames:
    """Frames of the test part of a data set, by the split of the training; images that came later are left out.

    Raises DataError, and SplitError where the data set has no image of that test part.
    """
    dataset = read_dataset(data, one_class=True)  # its pictures alone are looked at
    samples = [sample for sample in dataset.samples if split.images.get(sample.sha256) == "test"]
    if not samples:
        raise SplitError(
            f"{data}: found none of the {part_counts(split)['test']} images of the training's test part, expected "
            "some; name the data of the training, or leave --data out"
        )
    inputs = np.stack([preprocess(sample.load_image(), spec) for sample in samples])
    return Frames(inputs, f"{len(samples)} images of {dataset.name}, test part")


def assemble(source: "Source", name: str, frames: Frames, precision: Around = "fp32") -> Draft:
    """Make a bundle of a checkpoint, and compare it on `frames` with torch in float32.

    Raises LabelsError for a network that learnt defects and was never measured on one, GraphError if it cannot be
    written, ComparisonError if the outputs of onnxruntime and torch differ.
    """
    if not source.meta.recipe.good_only:
        check_seen_defects(source.meta.metrics)
    model = halved(source.to_onnx()) if precision == "fp16" else source.to_onnx()
    manifest = Manifest(
        name=name,
        classes=source.meta.classes,
        input=source.input,
        masks=check_graph(model, source.input, source.meta.classes),
        thresholds=source.meta.thresholds,
        exposures=source.meta.recipe.thresholds.exposures,
        precision=precision,
        tolerances=dict(TOLERANCES),
        made_from=_origin(source),
        files={},
    )
    content = to_bytes(model)
    engine = open_draft(content, manifest)
    compared = {"frames": frames.description} | _compare_with_torch(source, engine, frames)
    manifest = with_comparisons(manifest, {"onnxruntime with torch": compared})
    return Draft(manifest, {MODEL: content} | encode(draw_golden(manifest.input, engine.infer, source.example)))


def check_seen_defects(metrics: Mapping[str, Any]) -> None:
    """Raise LabelsError unless the network was measured on images with defects, by the checkpoint's own metrics.

    A network that was trained on good images alone passes every part.
    """
    parts = [part for part in metrics.values() if isinstance(part, dict)]
    classes = [one for part in parts for one in part.get("classes", ()) if isinstance(one, dict)]
    if not any(one.get("positives") for one in classes):
        raise LabelsError(
            f"checkpoint: found no image with a defect in its metrics ({', '.join(metrics) or 'none'}), expected "
            "some of each class; train with labelled defects in the training and validation parts"
        )


def open_draft(model: bytes, manifest: Manifest, threads: int | None = None) -> Engine:
    """Open the station's CPU engine on a graph that is not in a bundle yet. Raises EngineError."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MODEL).write_bytes(model)
        nothing = Golden((), np.zeros((0, 0), np.float32), np.zeros((0, 0, 0, 0), np.uint8))
        files = {MODEL: hashlib.sha256(model).hexdigest()}
        return OnnxruntimeEngine(Bundle(Path(folder), manifest.model_copy(update={"files": files}), nothing), threads)


def derived(bundle: Bundle, name: str, model: bytes, precision: Precision, told: dict[str, dict[str, Any]]) -> Draft:
    """Derive a bundle with its graph in another precision and the same golden frames with new outputs.

    told: entries for `made_from.comparison`, by name.
    """
    changes = {"name": name, "precision": precision, "tolerances": dict(TOLERANCES)}
    manifest = bundle.manifest.model_copy(update=changes)
    engine = open_draft(model, manifest)
    golden = answered(bundle.golden.frames, manifest.input, engine.infer)
    made_here = {f"{name} ({precision})": found for name, found in software().items() if name.startswith("onnx")}
    origin = manifest.made_from.model_copy(update={"software": manifest.made_from.software | made_here})
    manifest = with_comparisons(manifest.model_copy(update={"made_from": origin}), told)
    return Draft(manifest, {MODEL: model} | encode(golden))


def software() -> dict[str, str]:
    """Versions of the packages that make a bundle."""
    packages = ("edge-inspect", "numpy", "onnx", "onnxruntime", "onnxscript", "torch")
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def with_comparisons(manifest: Manifest, more: dict[str, dict[str, Any]]) -> Manifest:
    """Return the manifest with more entries in `made_from.comparison`."""
    made_from = manifest.made_from
    compared = made_from.comparison | more
    return manifest.model_copy(update={"made_from": made_from.model_copy(update={"comparison": compared})})


def _compare_with_torch(source: "Source", engine: Engine, frames: Frames) -> dict[str, Any]:
    manifest = engine.manifest
    tolerance = manifest.tolerances[manifest.precision]
    with Bar("comparing with torch", 2 * len(frames.inputs)) as bar:
        outputs = [run(infer, frames.inputs, bar.step) for infer in (source.infer, engine.infer)]
    comparison = compare_outputs(outputs[0], outputs[1], manifest.thresholds, manifest.input, tolerance)
    if not comparison.within(tolerance):
        raise ComparisonError(
            f"{manifest.name}: onnxruntime differs from torch by {comparison.largest_score_difference:.4f} in a score, "
            f"{comparison.largest_mask_difference} in a mask, with {len(comparison.changed_beyond_tolerance)} changed "
            f"verdicts far from a threshold; expected at most {tolerance.score}, {tolerance.mask} and none on "
            f"{frames.description}; do not use this export: report it with the recipe"
        )
    return comparison.to_json()


def _origin(source: "Source") -> MadeFrom:
    meta = source.meta
    trained_with = {f"{name} (training)": found for name, found in meta.software.items()}
    return MadeFrom(
        recipe=meta.recipe.model_dump(mode="json"),
        checkpoint_sha256=source.sha256,
        split=meta.split.model_dump(mode="json"),
        metrics=meta.metrics,
        software=software() | trained_with,
        citation=meta.citation,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
