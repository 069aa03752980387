"""Activations of a graph's inner tensors, computed by onnxruntime."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from bundle import Image, TileGrid
from export.graph.signature import FRAMES
from export.int8.activation_ranges import BINS, Histogram

Planes = NDArray[np.float32]


class Probe:
    """An onnxruntime session whose outputs are chosen inner tensors of a graph.

    grid: the tiles of a network that sees one at a time; None for whole frames.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        tensors: Sequence[str],
        threads: int | None = None,
        grid: TileGrid | None = None,
    ):
        self.tensors = tuple(tensors)
        self.runs_per_frame = 1 if grid is None else len(grid.places)
        self._grid = grid
        shown = onnx.ModelProto()
        shown.CopyFrom(model)
        shown.graph.ClearField("output")
        shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.tensors)
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        if threads is not None:
            settings.intra_op_num_threads = threads
        self._session = ort.InferenceSession(shown.SerializeToString(), settings, providers=["CPUExecutionProvider"])

    def frames(self, inputs: Image) -> Iterator[dict[str, Planes]]:
        """Yield the tensors of each preprocessed frame of uint8 [N, C, H, W], or of each of its tiles."""
        for frame in inputs:
            batches = [frame[np.newaxis]] if self._grid is None else self._grid.batches(frame[np.newaxis])
            for seen in (one for some in batches for one in some):
                yield dict(zip(self.tensors, self._session.run(None, {FRAMES: seen[np.newaxis]}), strict=True))


def histograms(probe: Probe, inputs: Image, advance: Callable[[int], None]) -> dict[str, Histogram]:
    """Histograms of the tensors' magnitudes, in two passes over the frames: range, then counts."""
    tops = dict.fromkeys(probe.tensors, 0.0)
    for tensors in probe.frames(inputs):
        for name, values in tensors.items():
            tops[name] = max(tops[name], float(np.abs(values).max()))
        advance(1)
    counts = {name: np.zeros(BINS, np.int64) for name in probe.tensors}
    for tensors in probe.frames(inputs):
        for name, values in tensors.items():
            counts[name] += _counts(values, tops[name])
        advance(1)
    return {name: Histogram(top, counts[name]) for name, top in tops.items()}


def signal_to_noise(before: Probe, after: Probe, inputs: Image) -> Mapping[str, float]:
    """Signal to quantisation noise of each tensor that both show, in decibels, over all frames."""
    signal, noise = dict.fromkeys(before.tensors, 0.0), dict.fromkeys(before.tensors, 0.0)
    for exact, rounded in zip(before.frames(inputs), after.frames(inputs), strict=True):
        for name, values in exact.items():
            signal[name] += float(np.square(values, dtype=np.float64).sum())
            noise[name] += float(np.square(values - rounded[name], dtype=np.float64).sum())
    return {name: _decibels(signal[name], noise[name]) for name in before.tensors}


def _decibels(signal: float, noise: float) -> float:
    """10 log10 of the ratio, clipped to +-200; 200 without noise, -200 without a signal."""
    if not noise:
        return 200.0
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -200, 200))


def _counts(values: Planes, top: float) -> NDArray[np.int64]:
    if not top:
        return np.bincount([0], [values.size], BINS).astype(np.int64)
    places = np.minimum(np.abs(values).ravel() * (BINS / top), BINS - 1).astype(np.int64)
    return np.bincount(places, minlength=BINS)
