"""INT8 calibration of a float bundle, up to the accuracy gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray

from bundle import Bundle, Image
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.bundles.assemble import Draft, derived, open_draft, software
from export.choices import Around, Method
from export.errors import CalibrationError
from export.evaluate.batched_inference import Bar, run
from export.evaluate.compare_outputs import ChangedVerdict, changed_verdicts, compare_outputs, found_classes
from export.evaluate.latency import RunningCost, milliseconds
from export.graph.cleanup import to_bytes
from export.graph.fp16 import halved
from export.graph.qdq import (
    SAFE_WEIGHT_BITS,
    WeightBits,
    activations_of,
    convolutions,
    quantisable,
    quantised,
    quantised_layers,
    tied,
)
from export.int8.accuracy_gate import Gate, GateEvaluator, GateResult
from export.int8.activation_ranges import METHODS, Histogram, choose_range
from export.int8.activations import Probe, histograms, signal_to_noise
from export.int8.calibration_images import CalibrationSet
from export.int8.mixed_precision import MixedPrecisionSearch
from export.int8.report import CalibrationReport, Layer, MethodResult
from train.data.image_set import ImageSet

TRIAL = 128
"""Calibration frames on which the methods are compared."""

NOISE = 8
"""Calibration frames on which each layer's noise is measured."""


@dataclass(frozen=True)
class CalibrationSettings:
    """Options of a calibration."""

    gate: Gate
    method: Method | None = None
    """Method of choosing ranges; None takes the one whose masks differ least from the float network's."""
    around: Around = "fp32"
    """Precision of the layers that are not INT8."""
    threads: int | None = None
    weight_bits: WeightBits = SAFE_WEIGHT_BITS

    def quantise(self, model: onnx.ModelProto, layers: Sequence[str], ranges: Mapping[str, float]) -> onnx.ModelProto:
        """Return a float graph with these layers in INT8 and the others in the precision around them."""
        made = quantised(model, layers, ranges, self.weight_bits)
        return halved(made) if self.around == "fp16" else made


@dataclass(frozen=True)
class CalibrationResult:
    """Result of a calibration, whether or not it passed the gate."""

    draft: Draft
    objection: str | None
    """Reason why the last try failed the gate; the draft must then not be written."""
    report: CalibrationReport
    judged: tuple[GateResult, GateResult]
    """Gate results of the float and the INT8 network."""


class Calibration:
    """INT8 calibration of one bundle."""

    def __init__(self, bundle: Bundle, name: str, pictures: CalibrationSet, settings: CalibrationSettings):
        if bundle.manifest.precision != "fp32":
            raise CalibrationError(
                f"{bundle.folder}: found precision {bundle.manifest.precision}, expected fp32; quantise the bundle "
                "that the checkpoint was exported to"
            )
        self.bundle, self.name, self.pictures, self.settings = bundle, name, pictures, settings
        self.model = onnx.load_model_from_string(bundle.read_model())
        self.layers = quantisable(self.model)
        self.warnings: list[str] = []
        if not self.layers:
            raise CalibrationError(f"{bundle.folder}: found no convolution to quantise, expected some; stay with fp32")

    def run(self, images: ImageSet, judged_on: str, labelled: bool, date: str) -> CalibrationResult:
        """Measure activations, choose ranges, quantise, and run the gate with the mixed-precision fallback.

        date: now, UTC, ISO 8601. Raises EngineError or GoldenMismatch if the bundle cannot be opened as on the line,
        CalibrationError where the gate has nothing to judge by.
        """
        open_engine(DEFAULT_ENGINE, self.bundle, self.settings.threads).close()  # within a time limit, unlike the rest
        judge = GateEvaluator(self.bundle.manifest, images, self.settings.threads)
        with Bar("judging fp32", len(images)) as bar:
            before = judge.judge(self.model, bar.step)
        self.settings.gate.check_data(before.metrics, judged_on)
        seen = self._histograms()
        methods = self._try_methods(seen)
        best = min(methods, key=lambda result: result.mean_mask_difference).method
        method = self.settings.method or best
        search = MixedPrecisionSearch(self.layers, partial(self._quantise, ranges=self._ranges(seen, method)))
        model, after = search.run(judge, self.settings.gate, before, keep_at_most=len(self.layers) // 2)
        costs = self._costs(model)
        report = CalibrationReport(
            date=date,
            source=self.bundle.manifest.name,
            source_id=self.bundle.id,
            bundle_id=None,
            calibrated_on=self.pictures.description,
            judged_on=judged_on,
            labelled=labelled,
            warnings=tuple(self.warnings),
            around=self.settings.around,
            weight_bits=self.settings.weight_bits,
            method=method,
            methods=tuple(methods),
            layers=self._layers(model, seen, method, search),
            metric=self.settings.gate.metric,
            max_drop=self.settings.gate.max_drop,
            steps=tuple(search.steps),
            before=before.metrics,
            after=after.metrics,
            rank_agreement=self.settings.gate.rank_agreement(before, after),
            changed=self._changes(judge, before, after),
            cost_before=costs[0],
            cost_after=costs[1],
            software=software(),
        )
        return CalibrationResult(self._draft(model, report), search.steps[-1].objection, report, (before, after))

    def _histograms(self) -> dict[str, Histogram]:
        probe = self._probe(self.model, activations_of(self.model, self.layers))
        with Bar("measuring activations", 2 * probe.runs_per_frame * len(self.pictures.inputs)) as bar:
            return histograms(probe, self.pictures.inputs, bar.step)

    def _probe(self, model: onnx.ModelProto, tensors: Sequence[str]) -> Probe:
        return Probe(model, tensors, self.settings.threads, self.bundle.manifest.tile_grid)

    def _ranges(self, seen: Mapping[str, Histogram], method: Method) -> dict[str, float]:
        return tied(self.model, {name: choose_range(histogram, method) for name, histogram in seen.items()})

    def _quantise(self, layers: Sequence[str], ranges: Mapping[str, float]) -> onnx.ModelProto:
        return self.settings.quantise(self.model, layers, ranges)

    def _try_methods(self, seen: Mapping[str, Histogram]) -> list[MethodResult]:
        manifest, few = self.bundle.manifest, _every(self.pictures.inputs, TRIAL)
        exact = run(open_draft(to_bytes(self.model), manifest, self.settings.threads).infer, few)
        self._warn_of_missing_classes(found_classes(exact, manifest.thresholds, manifest.input))
        results = []
        with Bar("comparing methods", len(METHODS)) as bar:
            for method in METHODS:
                model = self._quantise(self.layers, self._ranges(seen, method))
                rough = run(open_draft(to_bytes(model), manifest, self.settings.threads).infer, few)
                gap = compare_outputs(exact, rough, manifest.thresholds, manifest.input, manifest.tolerances["int8"])
                results.append(
                    MethodResult(
                        method=method,
                        mean_mask_difference=gap.mean_mask_difference,
                        largest_score_difference=gap.largest_score_difference,
                        changed_verdicts=len(gap.changed_verdicts),
                        frames=len(few),
                    )
                )
                bar.step(1)
        return results

    def _warn_of_missing_classes(self, found: NDArray[np.bool_]) -> None:
        missing = [name for index, name in enumerate(self.bundle.manifest.classes) if not found[:, index].any()]
        if missing:
            self.warnings.append(
                f"the calibration frames show no {', '.join(missing)} that this bundle finds; ranges may be too narrow "
                "for such parts: add some"
            )

    def _costs(self, model: onnx.ModelProto) -> tuple[RunningCost, RunningCost]:
        graphs = [to_bytes(graph) for graph in (self.model, model)]
        engines = [open_draft(graph, self.bundle.manifest, self.settings.threads).infer for graph in graphs]
        times = milliseconds(engines, [self.pictures.inputs[:1]] * 2)
        before, after = (RunningCost(model_bytes=len(g), milliseconds=t) for g, t in zip(graphs, times, strict=True))
        return before, after

    def _layers(
        self, model: onnx.ModelProto, seen: Mapping[str, Histogram], method: Method, search: MixedPrecisionSearch
    ) -> tuple[Layer, ...]:
        nodes = convolutions(self.model)
        probes = [self._probe(graph, [node.output[0] for node in nodes]) for graph in (self.model, model)]
        noise = signal_to_noise(probes[0], probes[1], _every(self.pictures.inputs, NOISE))
        ranges, done = self._ranges(seen, method), set(quantised_layers(model))
        return tuple(
            Layer(
                name=node.name,
                quantised=node.name in done,
                kept_because=self._why_kept(node.name, done),
                largest=seen[node.input[0]].top if node.input[0] in seen else None,
                range=ranges.get(node.input[0]),
                signal_to_noise_db=noise[node.output[0]],
                alone_mask_difference=search.sensitivity.get(node.name),
            )
            for node in nodes
        )

    def _why_kept(self, layer: str, done: set[str]) -> str:
        if layer in done:
            return ""
        return "sensitive: kept for the gate" if layer in self.layers else "makes the outputs: always in float"

    def _changes(self, judge: GateEvaluator, before: GateResult, after: GateResult) -> tuple[ChangedVerdict, ...]:
        manifest = self.bundle.manifest
        judged = (judge.judged(result.outputs) for result in (before, after))
        found = [found_classes(outputs, manifest.thresholds, manifest.input) for outputs in judged]
        return changed_verdicts(found[0], found[1], judge.images.labels, manifest.classes)

    def _draft(self, model: onnx.ModelProto, report: CalibrationReport) -> Draft:
        told = {
            "source": report.source_id,
            "calibrated_on": report.calibrated_on,
            "method": report.method,
            "around": report.around,
            "weight_bits": report.weight_bits,
            "kept_in_float": [layer.name for layer in report.layers if not layer.quantised],
            "judged_on": report.judged_on,
            "metric": report.metric,
            "before": report.before.known(report.metric),
            "after": report.after.known(report.metric),
            "escapes": [report.before.escapes.count, report.after.escapes.count],
            "rank_agreement": report.rank_agreement,
            "changed_verdicts": len(report.changed),
        }
        return derived(self.bundle, self.name, to_bytes(model), "int8", {"int8 with fp32": told})


def _every(inputs: Image, count: int) -> Image:
    """At most `count` frames, evenly spread."""
    return inputs[:: max(1, -(-len(inputs) // count))]
