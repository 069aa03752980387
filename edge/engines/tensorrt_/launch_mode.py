"""Launch mode of a plan, kernel by kernel or as one CUDA graph: measured once, stored beside the plan."""

from collections.abc import Callable
from statistics import median

from pydantic import ValidationError

from bundle import Bundle, GoldenMismatch
from edge.engines.tensorrt_.engine import StreamEngine
from edge.engines.tensorrt_.plan_cache import PlanCache
from edge.engines.tensorrt_.plan_key import Frozen, PlanKey
from edge.errors import CaptureRefused

RUNS, WARM_UP = 40, 10
"""Timed frames for each mode, and warm-up frames before them."""
WORTH_IT = 0.97
"""A graph is used if it takes at most this share of the time; smaller gains are within measurement noise."""

Clock = Callable[[], float]


class LaunchMode(Frozen):
    """The chosen launch mode of one plan on one machine, with the measured times."""

    graph: bool
    plain_ms: float
    """Median from frame to outputs, both in host memory."""
    graph_ms: float | None
    """None if the network cannot be captured."""
    refusal: str = ""

    def __str__(self) -> str:
        if self.graph_ms is None:
            return f"launched kernel by kernel, no CUDA graph, because: {self.refusal}"
        way = "as one CUDA graph" if self.graph else "kernel by kernel"
        return f"launched {way}: {self.graph_ms:.3f} ms a frame as a graph, {self.plain_ms:.3f} ms without"


def settle(
    bundle: Bundle, engine: StreamEngine, cache: PlanCache, key: PlanKey, say: Callable[[str], None], clock: Clock
) -> None:
    """Set the faster launch mode of an engine that passed the golden frames; the choice is logged."""
    chosen = _read(cache, key)
    if chosen is None:
        chosen = choose(bundle, engine, clock)
        cache.write(cache.path(key, "launch").name, chosen.model_dump_json(indent=1).encode() + b"\n")
    elif chosen.graph:
        refusal = _captured(bundle, engine)
        if refusal is not None:
            chosen = chosen.model_copy(update={"graph": False, "graph_ms": None, "refusal": refusal})
    say(f"{bundle.manifest.name}: network {chosen}")


def choose(bundle: Bundle, engine: StreamEngine, clock: Clock) -> LaunchMode:
    """Measure both modes on the golden frames; leaves the engine in the faster one."""
    plain_ms = _frame_ms(bundle, engine, clock)
    refusal = _captured(bundle, engine)
    if refusal is not None:
        return LaunchMode(graph=False, plain_ms=plain_ms, graph_ms=None, refusal=refusal)
    graph_ms = _frame_ms(bundle, engine, clock)
    worth_it = graph_ms <= WORTH_IT * plain_ms
    if not worth_it:
        engine.release()
    return LaunchMode(graph=worth_it, plain_ms=plain_ms, graph_ms=graph_ms)


def _captured(bundle: Bundle, engine: StreamEngine) -> str | None:
    """Switch to CUDA graphs; returns the reason if capture fails, or the golden frames do."""
    try:
        engine.capture()
        bundle.check(engine.infer)
    except (CaptureRefused, GoldenMismatch) as error:
        engine.release()
        return str(error)
    return None


def _frame_ms(bundle: Bundle, engine: StreamEngine, clock: Clock) -> float:
    frames, times = bundle.golden.frames, []
    for number in range(WARM_UP + RUNS):
        start = clock()
        engine.begin([frames[number % len(frames)]])()
        times.append(1e3 * (clock() - start))
    return round(median(times[WARM_UP:]), 4)


def _read(cache: PlanCache, key: PlanKey) -> LaunchMode | None:
    content = cache.read(cache.path(key, "launch").name)
    try:
        return None if content is None else LaunchMode.model_validate_json(content)
    except ValidationError:
        return None
