"""Mixed-precision fallback: keep sensitive layers in float until the accuracy gate passes."""

from collections.abc import Callable, Sequence

import onnx

from bundle import FrozenModel
from export.int8.accuracy_gate import Gate, GateEvaluator, GateResult
from train.data.image_set import ImageSet

SWEEP = 24
"""Images of the sensitivity sweep; the gate itself uses all."""


class Step(FrozenModel):
    """One run of the gate."""

    kept: tuple[str, ...]
    """Layers left in float."""
    value: float | None
    """Of the gate's metric; None without data."""
    escapes: int
    objection: str | None
    """Reason of a failure; None if it passed."""


class MixedPrecisionSearch:
    """Quantises a graph; keeps the most sensitive layers in float, one after another, until the gate passes."""

    def __init__(self, layers: Sequence[str], quantise: Callable[[Sequence[str]], onnx.ModelProto]):
        """quantise: makes the graph with these layers in INT8."""
        self.layers, self.quantise = tuple(layers), quantise
        self.steps: list[Step] = []
        self.sensitivity: dict[str, float] = {}
        """Mean difference of the masks, in levels, with only this layer in INT8; filled by the first failure."""

    def run(
        self, judge: GateEvaluator, gate: Gate, before: GateResult, keep_at_most: int
    ) -> tuple[onnx.ModelProto, GateResult]:
        """Run the gate until it passes or `keep_at_most` layers stay in float.

        Returns the last graph with its gate result; `steps` says whether it passed.
        """
        model, judged = self._try((), judge, gate, before)
        kept: tuple[str, ...] = ()
        for layer in self._worst_first(judge, before) if self.steps[-1].objection else ():
            if self.steps[-1].objection is None or len(kept) == keep_at_most:
                break
            kept = (*kept, layer)
            model, judged = self._try(kept, judge, gate, before)
        return model, judged

    def _try(
        self, kept: tuple[str, ...], judge: GateEvaluator, gate: Gate, before: GateResult
    ) -> tuple[onnx.ModelProto, GateResult]:
        model = self.quantise([layer for layer in self.layers if layer not in kept])
        judged = judge.judge(model)
        metrics = judged.metrics
        objection = gate.objection(before, judged)
        value, escapes = metrics.known(gate.metric), metrics.escapes.count
        self.steps.append(Step(kept=kept, value=value, escapes=escapes, objection=objection))
        return model, judged

    def _worst_first(self, judge: GateEvaluator, before: GateResult) -> list[str]:
        """Layers by falling sensitivity, measured with one layer at a time in INT8."""
        places = range(0, len(judge.images), max(1, len(judge.images) // SWEEP))
        few = GateEvaluator(judge.manifest, _some(judge.images, places), judge.threads)
        exact = before.outputs.masks[list(places)].astype(float)
        for layer in self.layers:
            alone = few.judge(self.quantise([layer])).outputs
            self.sensitivity[layer] = float(abs(exact - alone.masks).mean())
        return sorted(self.layers, key=lambda layer: -self.sensitivity[layer])


def _some(images: ImageSet, places: Sequence[int]) -> ImageSet:
    chosen = list(places)
    return ImageSet(images.images[chosen], images.bits[chosen], images.labels[chosen], images.outlined[chosen])
