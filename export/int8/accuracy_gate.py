"""Accuracy gate: a quantised network against the float one, on images that calibration has not seen."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from bundle import Bundle, Image, Manifest
from bundle.outlines import enlarged
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.bundles.assemble import open_draft
from export.choices import Part
from export.errors import CalibrationError, LabelsError
from export.evaluate.batched_inference import Bar, run
from export.evaluate.compare_outputs import found_classes
from export.evaluate.labelled_images import select
from export.graph.cleanup import to_bytes
from export.int8.calibration_images import CalibrationSet
from train.data.dataset import Masks
from train.data.image_set import ImageSet, load_images, outlined, pack
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import Outputs, evaluate

HELD_OUT = 4
"""Without labels, every fourth picture is for the gate, the others for calibration."""

_SMALLER_IS_BETTER = frozenset({"false_rejects_at_no_escape", "mean_iou_pairs_predicting_nothing"})


@dataclass(frozen=True)
class Gate:
    """Largest accepted loss of accuracy."""

    metric: str
    """Name of a field of `Metrics`; larger is better."""
    max_drop: float

    def objection(self, before: Metrics, after: Metrics) -> str | None:
        """Reason why a network fails the gate, or None; an additional escape fails it, and a metric without data."""
        if after.escapes.count > before.escapes.count:
            return f"{after.escapes.count} escapes instead of {before.escapes.count}"
        was = before.known(self.metric)
        if was is None:
            return f"{self.metric} has no data"
        drop = was - after.named(self.metric)
        if not drop <= self.max_drop:  # `not <=` also catches NaN
            return f"{self.metric} lower by {drop:.4f}, allowed {self.max_drop}"
        return None

    def check_data(self, metrics: Metrics, judged_on: str) -> None:
        """Raise CalibrationError unless the images have a defect that could escape, and what the metric measures."""
        if metrics.images == metrics.good:
            raise CalibrationError(
                f"accuracy gate: found no image with a defect in {judged_on}, expected some: an escape could not be "
                "seen; add pictures of defective parts, or name labelled ones with --data and --part"
            )
        if metrics.known(self.metric) is None:
            raise CalibrationError(
                f"accuracy gate: found no data for {self.metric} in {judged_on}, expected some; choose another "
                "--metric, such as accuracy_pairs where the defects have no outlines"
            )


def gate_on(metric: str, max_drop: float) -> Gate:
    """Make a gate on the metric of this name. Raises CalibrationError for an unknown name."""
    known = [name for name, field in Metrics.model_fields.items() if field.annotation in (float, float | None)]
    if metric not in known or metric in _SMALLER_IS_BETTER:
        expected = ", ".join(name for name in known if name not in _SMALLER_IS_BETTER)
        raise CalibrationError(f"--metric: found {metric!r}, expected one of {expected}")
    return Gate(metric, max_drop)


@dataclass(frozen=True)
class GateResult:
    """Outputs and metrics of one graph on the gate's images."""

    outputs: Outputs
    metrics: Metrics


class GateEvaluator:
    """Evaluates graphs of one bundle on labelled images, with the engine and decision of the station."""

    def __init__(self, manifest: Manifest, images: ImageSet, threads: int | None = None):
        self.manifest, self.images, self.threads = manifest, images, threads

    def judge(self, model: onnx.ModelProto, advance: Callable[[int], None] = lambda count: None) -> GateResult:
        """Run a graph on all images; `advance` is called with each batch's size."""
        outputs = run(open_draft(to_bytes(model), self.manifest, self.threads).infer, self.images.images, advance)
        metrics = evaluate(outputs, self.images, self.manifest.thresholds, self.manifest.classes)
        return GateResult(outputs, metrics)


@dataclass(frozen=True)
class GateImages:
    """Images for the accuracy gate, with the pictures that remain for calibration."""

    images: ImageSet
    description: str
    labelled: bool
    pictures: CalibrationSet


def labelled_gate_images(
    bundle: Bundle, pictures: CalibrationSet, data: Path, split: str | None, part: Part
) -> GateImages:
    """Use labelled images that are not calibration pictures. Raises LabelsError if none remain."""
    labelled = select(bundle, data, split, part)
    unseen = [sample for sample in labelled.samples if sample.sha256 not in pictures.hashes]
    if not unseen:
        raise LabelsError(f"{data}: calibration has seen all {len(labelled.samples)} images of part {part}; add others")
    images = load_images(unseen, bundle.manifest.input, len(bundle.manifest.classes))
    return GateImages(images, f"{len(unseen)} images of {labelled.dataset}, part {part}", True, pictures)


def unlabelled_gate_images(
    bundle: Bundle, pictures: CalibrationSet, threads: int | None, engine: str = DEFAULT_ENGINE
) -> GateImages:
    """Use every HELD_OUT-th picture, with the float bundle's own decisions as labels."""
    inputs = pictures.inputs
    judging = np.arange(len(inputs)) % HELD_OUT == HELD_OUT - 1
    if not judging.any():
        raise CalibrationError(f"found {len(inputs)} pictures, expected at least {HELD_OUT} to calibrate and to judge")
    opened = open_engine(engine, bundle, threads)
    with Bar("asking fp32", int(judging.sum())) as bar:
        images = agreement_truth(run(opened.infer, inputs[judging], bar.step), inputs[judging], bundle.manifest)
    rest = replace(pictures, inputs=inputs[~judging])
    return GateImages(images, f"{len(images)} other pictures, by the fp32 bundle's own decisions", False, rest)


def agreement_truth(outputs: Outputs, inputs: Image, manifest: Manifest) -> ImageSet:
    """Use a network's decisions as labels.

    inputs: the preprocessed frames, uint8 [N, C, H, W], that gave the outputs. Metrics against
    these labels measure agreement with that network; an escape is a part that it rejects and the other network accepts.
    """
    labels = found_classes(outputs, manifest.thresholds, manifest.input)  # [N, C]
    bits = np.stack(
        [pack(_declared(masks, found, manifest)) for masks, found in zip(outputs.masks, labels, strict=True)]
    )
    return ImageSet(inputs, bits, labels, outlined(bits, labels))


def _declared(masks: NDArray[np.uint8], found: NDArray[np.bool_], manifest: Manifest) -> Masks:
    """The pixels of the classes found, bool [C, H, W]."""
    spec, thresholds = manifest.input, manifest.thresholds.values()
    cells = [(mask >= limit.level) & has for mask, has, limit in zip(masks, found, thresholds, strict=True)]
    return np.stack([enlarged(cell, spec.height, spec.width) for cell in cells])
