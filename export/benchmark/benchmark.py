"""Latency and throughput of bundles' engines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from rich.table import Table

from bundle import Bundle, Image
from edge.engines.engine import Engine, Pending

RUNS, WARM_UP = 300, 30
"""Timed runs, and warm-up runs before them: a GPU raises its clocks under load."""


@dataclass(frozen=True)
class Speed:
    """Speed of one bundle's engine, from a frame in host memory to outputs in host memory."""

    name: str
    precision: str
    p50_ms: float
    p99_ms: float
    frames_per_s: float
    """With as many batches in flight as the engine has slots."""


def measure(bundle: Bundle, engine: Engine, runs: int = RUNS, clock: Callable[[], float] = perf_counter) -> Speed:
    """Measure an engine on the bundle's golden frames."""
    frames = bundle.golden.frames
    alone = speed_of(bundle, lambda number: engine.begin([frames[number % len(frames)]])(), runs, clock)
    seconds = timed(engine, [frames[number % len(frames)] for number in range(runs)], clock)
    return replace(alone, frames_per_s=runs / seconds)


def speed_of(bundle: Bundle, one: Callable[[int], object], runs: int, clock: Callable[[], float]) -> Speed:
    """Measure a function that processes one frame, given its number."""
    for number in range(WARM_UP):
        one(number)
    times = np.empty(runs)
    for number in range(runs):
        start = clock()
        one(number)
        times[number] = clock() - start
    p50, p99 = np.percentile(times * 1e3, (50, 99))
    return Speed(bundle.manifest.name, bundle.manifest.precision, float(p50), float(p99), float(1 / times.mean()))


def timed(engine: Engine, frames: Sequence[Image], clock: Callable[[], float]) -> float:
    """Seconds for a sequence of frames, with as many batches in flight as the engine has slots."""
    under_way: list[Pending] = []
    start = clock()
    for frame in frames:
        if len(under_way) == engine.slots:
            under_way.pop(0)()
        under_way.append(engine.begin([frame]))
    for pending in under_way:
        pending()
    return clock() - start


def speed_table(speeds: Sequence[Speed]) -> Table:
    """Table of the engines' speeds."""
    table = Table("bundle", "precision", "p50 ms", "p99 ms", "frames/s")
    for speed in speeds:
        table.add_row(
            speed.name,
            speed.precision,
            f"{speed.p50_ms:.3f}",
            f"{speed.p99_ms:.3f}",
            f"{speed.frames_per_s:.0f}",
        )
    return table


def advice(speeds: Sequence[Speed]) -> str:
    """Recommendation: the fastest engine, its lead, and a remark if INT8 is slower."""
    best, *others = sorted(speeds, key=lambda speed: speed.p50_ms)
    if not others:
        return f"{best.name} ({best.precision}): {best.p50_ms:.3f} ms a frame here, alone; name several to compare them"
    second = others[0]
    said = (
        f"best here: {best.name} ({best.precision}), {best.p50_ms:.3f} ms a frame; "
        f"next {second.name} ({second.precision}) with {second.p50_ms / best.p50_ms:.2f} times that"
    )
    if best.precision != "int8" and any(speed.precision == "int8" for speed in others):
        said += (
            "; INT8 is slower on this board: its conversions cost more than its convolutions save, see the layers "
            "in the build logs"
        )
    return said + "; choose by the accuracy of each as well (edge-export evaluate)"
