"""Time of each layer in onnxruntime beside the shortest that this machine allows."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime as ort

from bundle import Image
from export.benchmark.op_counts import KernelWork, count_work
from export.benchmark.roofline import Peak, shortest_s
from export.graph.signature import FRAMES

KERNEL = "_kernel_time"
"""End of the name of a node's time in onnxruntime's profile."""
BLOCKED = "_nchwc"
"""End of the name of a node whose channels onnxruntime has blocked."""
FUSED = ("LeakyRelu", "Relu", "Sigmoid")
"""Activations that onnxruntime fuses into the convolution before, whose node then bears their name."""


@dataclass(frozen=True)
class LayerTime:
    """One convolution, with what is fused into it."""

    work: KernelWork
    ms: float
    shortest_ms: float

    @property
    def share(self) -> float:
        """Share of the peak that the layer reaches."""
        return self.shortest_ms / self.ms

    @property
    def lost_ms(self) -> float:
        """Time above the shortest."""
        return self.ms - self.shortest_ms


def layer_times(model: bytes, frames: Sequence[Image], peak: Peak) -> tuple[list[LayerTime], float]:
    """Measure a graph in one thread: its convolutions, slowest above their bound first, and the other nodes' ms.

    Times are the profiler's, wall-clock: the least of all frames counts for each node.
    """
    least, graph = _node_ms(model, frames), onnx.load_model_from_string(model)
    fused = {node.input[0]: node.name for node in graph.graph.node if node.op_type in FUSED}
    layers = []
    for kernel in count_work(graph, padding=False).kernels:
        took = [least[name] for name in (kernel.name, fused.get(kernel.name)) if name in least]
        if kernel.macs and took:
            layers.append(LayerTime(kernel, took[0], 1e3 * shortest_s(kernel, peak)))
    rest = sum(least.values()) - sum(layer.ms for layer in layers)
    return sorted(layers, key=lambda layer: -layer.lost_ms), rest


def _node_ms(model: bytes, frames: Sequence[Image]) -> dict[str, float]:
    """Milliseconds of each node, the least over the frames."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        for frame in frames:
            session.run(None, {FRAMES: frame})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event["name"].endswith(KERNEL):
            times[event["name"].removesuffix(KERNEL).removesuffix(BLOCKED)].append(event["dur"] / 1e3)
    return {name: min(found) for name, found in times.items()}
