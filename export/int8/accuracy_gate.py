"""The gate that a changed network must pass: no worse than the one it replaces, on images that it was not made from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from bundle import Image, Manifest
from export.bundles.assemble import open_draft
from export.errors import CalibrationError
from export.evaluate.batched_inference import run
from export.evaluate.compare_outputs import found_classes
from export.graph.cleanup import to_bytes
from train.data.dataset import Masks
from train.data.image_set import ImageSet, outlined, pack
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import Outputs, evaluate
from train.evaluate.prediction import enlarged

_SMALLER_IS_BETTER = frozenset({"false_rejects_at_no_escape", "mean_iou_pairs_predicting_nothing"})


@dataclass(frozen=True)
class Gate:
    """How much worse is still good enough."""

    metric: str
    """A share among `Metrics`, the larger the better."""
    max_drop: float

    def objection(self, before: Metrics, after: Metrics) -> str | None:
        """Why the changed network does not pass, or None if it does. One more escape is never allowed."""
        drop = before.named(self.metric) - after.named(self.metric)
        if after.escapes.count > before.escapes.count:
            return f"{after.escapes.count} escapes instead of {before.escapes.count}"
        if not drop <= self.max_drop:  # `not <=` also catches NaN
            return f"{self.metric} lower by {drop:.4f}, allowed {self.max_drop}"
        return None


def gate_on(metric: str, max_drop: float) -> Gate:
    """A gate on a metric of this name. Raises CalibrationError if there is none."""
    known = [name for name, field in Metrics.model_fields.items() if field.annotation in (float, float | None)]
    if metric not in known or metric in _SMALLER_IS_BETTER:
        expected = ", ".join(name for name in known if name not in _SMALLER_IS_BETTER)
        raise CalibrationError(f"--metric: found {metric!r}, expected one of {expected}")
    return Gate(metric, max_drop)


@dataclass(frozen=True)
class Judged:
    """What one graph made of the images."""

    outputs: Outputs
    metrics: Metrics


class Judge:
    """Images with their truth, on which graphs of one bundle are judged through edge's own engine and decision."""

    def __init__(self, manifest: Manifest, images: ImageSet, threads: int | None = None):
        self.manifest, self.images, self.threads = manifest, images, threads

    def judge(self, model: onnx.ModelProto, advance: Callable[[int], None] = lambda count: None) -> Judged:
        """Run a graph on all images."""
        outputs = run(open_draft(to_bytes(model), self.manifest, self.threads).infer, self.images.images, advance)
        metrics = evaluate(outputs, self.images, self.manifest.thresholds, self.manifest.classes)
        return Judged(outputs, metrics)


def agreement_truth(outputs: Outputs, inputs: Image, manifest: Manifest) -> ImageSet:
    """Take a network's own decisions for the truth, where there are no labels.

    inputs: the preprocessed frames, uint8 [N, C, H, W], that gave the outputs. Measured against this truth, every
    metric is the agreement with that network, and an escape is a part that it rejects and the other passes.
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
