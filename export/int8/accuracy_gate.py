"""Accuracy gate: a quantised network against the float one, on images that calibration has not seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from bundle import Manifest
from export.bundles.assemble import open_draft
from export.bundles.golden_frames import TOLERANCES
from export.errors import CalibrationError
from export.evaluate.batched_inference import run
from export.graph.cleanup import to_bytes
from train.data.image_set import ImageSet
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import Outputs, evaluate, judged_together

MIN_RANK_AGREEMENT = 0.95
"""Smallest accepted `rank_agreement` of two networks that know good parts alone."""

MAX_DROP, MAX_DROP_OF_AGREEMENT = 0.01, 0.05
"""Default loss of accuracy; the second where the float network's masks of drawn defects are the truth. INT8 moves their
borders: with every layer quantised, the masks of a network of drawn parts agreed by 0.967, with no changed verdict."""

_SMALLER_IS_BETTER = frozenset({"false_rejects_at_no_escape", "mean_iou_pairs_predicting_nothing"})


@dataclass(frozen=True)
class Gate:
    """Largest accepted loss of accuracy."""

    metric: str
    """Name of a field of `Metrics`; larger is better."""
    max_drop: float
    knows_good_alone: bool = False
    """Whether the network knows good parts alone, whose scores then have an order; rejected good pictures count too."""

    def objection(self, before: "GateResult", after: "GateResult") -> str | None:
        """Reason why a network fails the gate, or None."""
        problem = self.metrics_objection(before.metrics, after.metrics)
        return problem or self._good_part_objection(before, after)

    def rank_agreement(self, before: "GateResult", after: "GateResult") -> float | None:
        """See the function of this name; None if the gate does not ask for it."""
        if not self.knows_good_alone:
            return None
        return rank_agreement(before.outputs, after.outputs, TOLERANCES["int8"].score)

    def _good_part_objection(self, before: "GateResult", after: "GateResult") -> str | None:
        agreement = self.rank_agreement(before, after)
        if agreement is None:
            return None
        if not agreement >= MIN_RANK_AGREEMENT:  # `not >=` also catches NaN
            return f"ranks of the scores agree by {agreement:.3f}, expected {MIN_RANK_AGREEMENT} or more"
        rejected = [judged.metrics.false_rejects for judged in (before, after)]
        if rejected[1].count - rejected[0].count > self.max_drop * rejected[0].total:
            return f"{rejected[1].count} false rejects instead of {rejected[0].count}"
        return None

    def metrics_objection(self, before: Metrics, after: Metrics) -> str | None:
        """Reason of a failure by the metrics; an additional escape fails, and a metric without data."""
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


def check_metric(metric: str) -> None:
    """Raise CalibrationError for an unknown name, or one of which less is better."""
    known = [name for name, field in Metrics.model_fields.items() if field.annotation in (float, float | None)]
    if metric not in known or metric in _SMALLER_IS_BETTER:
        expected = ", ".join(name for name in known if name not in _SMALLER_IS_BETTER)
        raise CalibrationError(f"--metric: found {metric!r}, expected one of {expected}")


def gate_on(metric: str, max_drop: float, knows_good_alone: bool = False) -> Gate:
    """Make a gate on the metric of this name. Raises CalibrationError as `check_metric`."""
    check_metric(metric)
    return Gate(metric, max_drop, knows_good_alone)


def rank_agreement(before: Outputs, after: Outputs, tolerance: float) -> float:
    """Share of the pairs of images whose order by the largest score is kept, 0 to 1; NaN without a pair.

    Pairs of which `before` scores differ by at most `tolerance` have no order.
    """
    first, second = (outputs.scores.max(axis=1) for outputs in (before, after))
    higher = first[:, np.newaxis] - first > tolerance
    kept = second[:, np.newaxis] > second
    return float(kept[higher].mean()) if higher.any() else float("nan")


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
        judged = self.judged(outputs)
        metrics = evaluate(judged, self.images, self.manifest.thresholds, self.manifest.classes)
        return GateResult(outputs, metrics)

    def judged(self, outputs: Outputs) -> Outputs:
        """Outputs with the scores that the station decides by; frames without labels are of no part."""
        rule = self.manifest.exposures if self.images.parts else "worst"
        return judged_together(outputs, self.images, rule)
