"""Acceptance of a machine with a GPU: agreement with the CPU, latency, throughput, and constant memory."""

import math
import resource
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from bundle import Bundle, FrozenModel, Image, preprocess
from edge.engines.engine import Engine
from edge.engines.tensorrt_.build import largest_gap
from edge.engines.tensorrt_.engine import StreamEngine
from edge.errors import CaptureRefused
from export.benchmark.benchmark import RUNS, Speed, measure
from export.bundles.golden_frames import draw_frame
from export.evaluate.batched_inference import run
from export.evaluate.compare_outputs import compare_outputs
from synthetic.tiles import CLASSES

WARM_RUNS = 2000
"""Warm-up runs before memory is measured; allocators fill their pools in the beginning."""

STEADY = 8 << 20
"""Largest growth of memory in bytes: the buffers of one large frame."""
EVEN = 1.2
"""Largest ratio of the 99th percentile of the latency to the median."""
THROUGH = 0.95
"""Smallest ratio of the runtime's throughput to the bare engine's."""


class Growth(FrozenModel):
    """Growth of memory between the warm-up and the end of a soak."""

    frames: int
    host_bytes: int
    device_bytes: int


class Accepted(FrozenModel):
    """Acceptance results of one bundle on one machine."""

    bundle: str
    bundle_id: str
    precision: str
    engine: str
    golden: str
    kernel_largest_gap: int
    """Largest difference of the CUDA preprocessing kernel from `preprocess`, in grey levels, over every frame."""
    parity: dict[str, Any]
    """Differences from onnxruntime; see `OutputComparison`."""
    parity_within_tolerance: bool
    plain: Speed
    """Launched kernel by kernel."""
    graph: Speed | None
    """Launched as one CUDA graph; None if the capture was refused."""
    graph_refusal: str
    memory: Growth
    runtime_over_bare: float | None = None
    """Throughput of the whole runtime over that of the engine alone."""

    @property
    def uses_graph(self) -> bool:
        """Whether the CUDA graph is faster than launching kernel by kernel."""
        return self.graph is not None and self.graph.p50_ms < self.plain.p50_ms

    @property
    def speed(self) -> Speed:
        """Speed of the faster launch mode."""
        return self.graph if self.graph is not None and self.uses_graph else self.plain

    @property
    def objections(self) -> list[str]:
        """Every limit that is exceeded, with the value found."""
        memory, ratio = max(self.memory.host_bytes, self.memory.device_bytes), self.runtime_over_bare
        unevenness = self.speed.p99_ms / self.speed.p50_ms
        kept = {
            "answers beside onnxruntime: beyond the tolerance": self.parity_within_tolerance,
            f"kernel: {self.kernel_largest_gap} grey levels off, at most 1": self.kernel_largest_gap <= 1,
            f"memory: grew by {memory} bytes, at most {STEADY}": memory <= STEADY,
            f"latency: p99 {unevenness:.2f} times p50, at most {EVEN}": unevenness <= EVEN,
            f"runtime: {ratio} of the bare engine, at least {THROUGH}": ratio is None or ratio >= THROUGH,
        }
        return [objection for objection, fine in kept.items() if not fine]

    @property
    def passed(self) -> bool:
        """Whether no limit is exceeded."""
        return not self.objections


def accept(
    bundle: Bundle,
    engine: StreamEngine,
    reference: Engine,
    frames: int,
    soak: int,
    clock: Callable[[], float] = perf_counter,
    until: float = math.inf,
    runs: int = RUNS,
) -> Accepted:
    """Measure an opened engine that has passed the golden frames.

    frames: drawn for the comparison with `reference`. soak: frames over which memory is watched, fewer if the clock
    comes to `until`. The engine is left in the faster launch mode.
    """
    manifest = bundle.manifest
    drawn = [draw_frame(manifest.input, index, (None, *CLASSES)[index % (1 + len(CLASSES))]) for index in range(frames)]
    inputs = np.stack([preprocess(frame, manifest.input) for frame in drawn])
    tolerance = manifest.tolerances[manifest.precision]
    outputs = [run(one.infer, inputs) for one in (reference, engine)]
    compared = compare_outputs(outputs[0], outputs[1], manifest.thresholds, manifest.input, tolerance)
    plain, graph, refusal = launched(bundle, engine, runs, clock)
    return Accepted(
        bundle=manifest.name,
        bundle_id=bundle.id,
        precision=manifest.precision,
        engine=engine.description,
        golden=f"{len(bundle.golden.frames)} frames agree",
        kernel_largest_gap=max(kernel_gap(engine, frame) for frame in sized(drawn)),
        parity=compared.to_json() | {"reference": reference.description},
        parity_within_tolerance=compared.within(tolerance),
        plain=plain,
        graph=graph,
        graph_refusal=refusal,
        memory=grown(engine, drawn, soak, clock, until),
    )


def launched(
    bundle: Bundle, engine: StreamEngine, runs: int, clock: Callable[[], float]
) -> tuple[Speed, Speed | None, str]:
    """Measure the network launched kernel by kernel, then as a CUDA graph; the third value is why there is no graph.

    The engine is left in the faster launch mode.
    """
    engine.release()
    plain = measure(bundle, engine, runs, clock)
    try:
        engine.capture()
    except CaptureRefused as error:
        return plain, None, str(error)
    graph = measure(bundle, engine, runs, clock)
    if plain.p50_ms <= graph.p50_ms:
        engine.release()
    return plain, graph, ""


def kernel_gap(engine: StreamEngine, frame: Image) -> int:
    """Largest difference of kernel and `preprocess` on a frame, in grey levels."""
    if engine.manifest.input.tiles:  # prepared on the host
        return 0
    return largest_gap(engine.prepare(frame), preprocess(frame, engine.manifest.input))


def sized(frames: Sequence[Image]) -> list[Image]:
    """Frames in grey, RGB and BGR, padded to odd sizes."""
    grey = [frame if frame.ndim == 2 else np.ascontiguousarray(frame[..., 1]) for frame in frames[:16]]
    odd = [np.pad(frame, ((0, 3 * number), (number, 0)), mode="edge") for number, frame in enumerate(grey)]
    colour = [np.stack([frame, frame // 2, 255 - frame], axis=-1) for frame in odd[:8]]
    return [*odd, *colour, *(frame[..., ::-1] for frame in colour)]


def grown(
    engine: StreamEngine, frames: Sequence[Image], soak: int, clock: Callable[[], float], until: float = math.inf
) -> Growth:
    """Measure the growth of memory over `soak` frames, fewer if the clock reaches `until`."""

    def run_on(most: int) -> int:
        for number in range(most):
            if clock() >= until:
                return number
            engine.begin([frames[number % len(frames)]])()
        return most

    run_on(min(WARM_RUNS, soak))
    host, device = _peak_host(), engine.free_memory()
    done = run_on(soak)
    return Growth(frames=done, host_bytes=_peak_host() - host, device_bytes=device - engine.free_memory())


def _peak_host() -> int:
    """Peak resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
