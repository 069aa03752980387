"""What a machine with a GPU must show before it goes to a line: agreement, speed, and memory that does not grow."""

import resource
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from bundle import Bundle, Image, preprocess
from bundle.tiles import CLASSES
from edge.engine import Engine
from edge.engines.opening import largest_gap
from edge.engines.stream import StreamEngine
from export.comparison import compare_outputs
from export.engine import measure
from export.frames import draw_frame
from export.inference import run

WARM_RUNS = 2000
"""Runs before memory is first looked at; allocators fill their pools in the beginning."""


class Record(BaseModel):
    """A frozen table; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Speed(Record):
    """Frame in host memory to outputs in host memory."""

    p50_ms: float
    p99_ms: float
    frames_per_s: float


class Growth(Record):
    """Memory after many frames, less that after the first ones."""

    frames: int
    host_bytes: int
    device_bytes: int


class Accepted(Record):
    """One bundle on one machine."""

    bundle: str
    bundle_id: str
    precision: str
    engine: str
    golden: str
    kernel_largest_gap: int
    """Grey levels between the kernel and `preprocess`, over every frame."""
    parity: dict[str, Any]
    """Beside onnxruntime; see `Comparison`."""
    parity_within_tolerance: bool
    speed: Speed
    memory: Growth
    runtime_over_bare: float | None = None
    """Throughput of the whole runtime over that of the engine alone; 0.95 is wanted."""

    @property
    def passed(self) -> bool:
        """Whether everything that has a limit keeps to it; the growth allowed is one frame's buffers."""
        steady = max(self.memory.host_bytes, self.memory.device_bytes) <= 8 << 20
        ratio = self.runtime_over_bare is None or self.runtime_over_bare >= 0.95
        return self.parity_within_tolerance and self.kernel_largest_gap <= 1 and steady and ratio


def accept(
    bundle: Bundle,
    engine: StreamEngine,
    reference: Engine,
    frames: int,
    soak: int,
    clock: Callable[[], float] = perf_counter,
) -> Accepted:
    """Measure an opened engine, which has agreed with the golden frames already.

    frames: drawn for the comparison with `reference`. soak: frames over which memory is watched.
    """
    manifest = bundle.manifest
    drawn = [draw_frame(manifest.input, index, (None, *CLASSES)[index % (1 + len(CLASSES))]) for index in range(frames)]
    inputs = np.stack([preprocess(frame, manifest.input) for frame in drawn])
    tolerance = manifest.tolerances[manifest.precision]
    outputs = [run(one.infer, inputs) for one in (reference, engine)]
    compared = compare_outputs(outputs[0], outputs[1], manifest.thresholds, manifest.input, tolerance)
    speed = measure(bundle, engine, clock=clock)
    return Accepted(
        bundle=manifest.name,
        bundle_id=bundle.id,
        precision=manifest.precision,
        engine=engine.description,
        golden=f"{len(bundle.golden.frames)} frames agree",
        kernel_largest_gap=max(kernel_gap(engine, frame) for frame in sized(drawn)),
        parity=compared.to_json() | {"reference": reference.description},
        parity_within_tolerance=compared.within(tolerance),
        speed=Speed(p50_ms=speed.p50_ms, p99_ms=speed.p99_ms, frames_per_s=speed.frames_per_s),
        memory=grown(engine, drawn, soak),
    )


def kernel_gap(engine: StreamEngine, frame: Image) -> int:
    """Grey levels by which kernel and `preprocess` differ on a frame."""
    return largest_gap(engine.prepare(frame), preprocess(frame, engine.manifest.input))


def sized(frames: Sequence[Image]) -> list[Image]:
    """Some frames, in colour and BGR too, with a margin that makes their sizes odd."""
    grey = [frame if frame.ndim == 2 else np.ascontiguousarray(frame[..., 1]) for frame in frames[:16]]
    odd = [np.pad(frame, ((0, 3 * number), (number, 0)), mode="edge") for number, frame in enumerate(grey)]
    colour = [np.stack([frame, frame // 2, 255 - frame], axis=-1) for frame in odd[:8]]
    return [*odd, *colour, *(frame[..., ::-1] for frame in colour)]


def grown(engine: StreamEngine, frames: Sequence[Image], soak: int) -> Growth:
    """Watch memory over many frames."""
    warm = min(WARM_RUNS, soak)
    for number in range(warm):
        engine.begin([frames[number % len(frames)]])()
    host, device = _peak_host(), engine.free_memory()
    for number in range(soak):
        engine.begin([frames[number % len(frames)]])()
    return Growth(frames=soak, host_bytes=_peak_host() - host, device_bytes=device - engine.free_memory())


def to_page(machine: dict[str, str], accepted: Sequence[Accepted]) -> str:
    """The results as one page of Markdown."""
    lines = [f"# Acceptance on {machine['device']}", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    lines += ["", "| bundle | precision | passed | p50 ms | p99 ms | frames/s | runtime / bare |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for one in accepted:
        ratio = "not measured" if one.runtime_over_bare is None else f"{one.runtime_over_bare:.3f}"
        speed = f"{one.speed.p50_ms:.3f} | {one.speed.p99_ms:.3f} | {one.speed.frames_per_s:.0f}"
        lines.append(f"| {one.bundle} | {one.precision} | {'yes' if one.passed else 'NO'} | {speed} | {ratio} |")
    lines += [
        "",
        "| bundle | images | score gap | mask gap | changed verdicts | kernel gap | host growth | GPU growth |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for one in accepted:
        parity = one.parity
        lines.append(
            f"| {one.bundle} | {parity['images']} | {parity['largest_score_difference']:.5f} "
            f"| {parity['largest_mask_difference']} | {len(parity['changed_verdicts'])} | {one.kernel_largest_gap} "
            f"| {one.memory.host_bytes} B | {one.memory.device_bytes} B |"
        )
    lines += ["", "Gaps are beside onnxruntime on drawn parts, in scores, levels of 255, grey levels. Memory is over"]
    lines += [f"{accepted[0].memory.frames} frames." if accepted else "no frames.", ""]
    return "\n".join(lines)


def _peak_host() -> int:
    """The most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
