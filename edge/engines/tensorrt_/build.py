"""Opening a bundle on a GPU: the plan found or built, the kernel compiled, both held against the golden frames."""

import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from bundle import Bundle, GoldenMismatch, Image
from edge.engines.tensorrt_ import launch_mode as launching
from edge.engines.tensorrt_.api import BuildRequest, Progress, TensorRt, open_tensorrt
from edge.engines.tensorrt_.driver import Driver
from edge.engines.tensorrt_.engine import StreamEngine
from edge.engines.tensorrt_.plan_cache import PlanCache, make_entry
from edge.engines.tensorrt_.plan_key import BuildOptions, Edition, PlanKey, PlanTarget
from edge.engines.tensorrt_.preprocess_kernel import cubin
from edge.engines.tensorrt_.pycuda_driver import CudaDriver, ask_driver
from edge.errors import EngineError, PlanRefused

log = logging.getLogger(__name__)

DEFAULTS = BuildOptions()


def _no_progress(phase: str, done: int, steps: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class PlanBuilder:
    """Where plans come from: the cache first, TensorRT if it has none."""

    tensorrt: TensorRt
    target: PlanTarget
    options: BuildOptions = DEFAULTS
    progress: Progress = _no_progress
    say: Callable[[str], None] = log.info
    ahead: bool = False
    """Whether the GPU is elsewhere."""

    def plan(self, bundle: Bundle, batch: int) -> tuple[bytes, bool]:
        """A plan for the bundle, with whether it has been built just now; the reason is said."""
        cache, key = PlanCache.of(bundle), self.key(bundle, batch)
        found, reason = cache.find(key)
        if found is not None:
            self.say(f"{bundle.manifest.name}: engine found, {cache.path(key, 'plan')}")
            return found, False
        self.say(f"{bundle.manifest.name}: building an engine, because: {reason}")
        return self._build(bundle, cache, key), True

    def discard_plan(self, bundle: Bundle, batch: int, reason: str) -> None:
        """Remove the plan that `plan` gave, for a reason that is said."""
        key = self.key(bundle, batch)
        PlanCache.of(bundle).discard(key)
        self.say(f"{bundle.manifest.name}: engine {key.name} thrown away, because: {reason}")

    def key(self, bundle: Bundle, batch: int) -> PlanKey:
        """What the bundle's plan is kept under."""
        return PlanKey(
            onnx_sha256=hashlib.sha256(bundle.model.read_bytes()).hexdigest(),
            tensorrt=self.tensorrt.version,
            target=self.target,
            batch=batch,
            options=self.options,
        )

    def _build(self, bundle: Bundle, cache: PlanCache, key: PlanKey) -> bytes:
        request = BuildRequest(
            bundle.model.read_bytes(), bundle.manifest, self.target, key.batch, self.options, self.ahead
        )
        timings = re.sub(r"[^\w.]+", "-", f"{key.tensorrt}-{key.target.gpu}.timings")
        with cache.log(key) as words:
            try:
                plan, measured, seconds = self.tensorrt.build(request, words, cache.read(timings), self.progress)
            except EngineError as error:
                raise EngineError(f"{error}; TensorRT's own words are in {words.name}") from None
        cache.store(make_entry(key, bundle, plan, seconds), plan)
        if measured is not None:
            cache.write(timings, measured)
        self.say(f"{bundle.manifest.name}: built in {seconds:.1f} s, log {cache.path(key, 'log')}")
        return plan


def ahead_of_time_builder(
    edition: Edition,
    architecture: str,
    options: BuildOptions = DEFAULTS,
    progress: Progress = _no_progress,
    say: Callable[[str], None] = log.info,
) -> PlanBuilder:
    """A builder for GPUs that are elsewhere, of an architecture such as sm_86. Raises EngineError."""
    digits = re.fullmatch(r"sm_(\d+)(\d)", architecture)
    if digits is None:
        raise EngineError(f"architecture: found {architecture!r}, expected one such as sm_86")
    if edition != "tensorrt_rtx":
        raise EngineError(f"{edition} builds on the GPU that it is for; expected tensorrt_rtx to build ahead of time")
    tensorrt = open_tensorrt(edition)
    return PlanBuilder(tensorrt, tensorrt.target("", ".".join(digits.groups())), options, progress, say, ahead=True)


def build_ahead(bundle: Bundle, builder: PlanBuilder, batch: int = 1) -> None:
    """Put a plan with its kernel into the cache for a GPU that is elsewhere; its golden frames are checked there."""
    builder.plan(bundle, batch)
    cubin(builder.target.architecture, PlanCache.of(bundle))


def open_on_gpu(
    edition: Edition,
    bundle: Bundle,
    batch: int = 1,
    options: BuildOptions = DEFAULTS,
    progress: Progress = _no_progress,
    say: Callable[[str], None] = log.info,
) -> StreamEngine:
    """Open a bundle on this machine's GPU; see `open_checked`. Raises EngineError if there is none."""
    ask_driver()
    tensorrt = open_tensorrt(edition)
    device = CudaDriver()
    target = tensorrt.target(device.name, device.compute_capability)
    device.close()
    return open_checked(bundle, PlanBuilder(tensorrt, target, options, progress, say), CudaDriver, batch)


def open_tensorrt_engine(bundle: Bundle, _threads: int | None, batch: int) -> StreamEngine:
    """Open a bundle with NVIDIA TensorRT."""
    return open_on_gpu("tensorrt", bundle, batch)


def open_tensorrt_rtx_engine(bundle: Bundle, _threads: int | None, batch: int) -> StreamEngine:
    """Open a bundle with TensorRT for RTX."""
    return open_on_gpu("tensorrt_rtx", bundle, batch)


def open_checked(
    bundle: Bundle,
    builder: PlanBuilder,
    make_driver: Callable[[], Driver],
    batch: int = 1,
    clock: launching.Clock = perf_counter,
) -> StreamEngine:
    """Open a bundle's plan, hold it against the golden frames and launch it in the faster way.

    A plan out of the cache that TensorRT refuses, or that answers otherwise, is thrown away and built once more.
    Raises EngineError or GoldenMismatch; then no such plan is left.
    """
    engine = _agreeing(bundle, builder, make_driver, batch)
    with ExitStack() as opened:
        opened.callback(engine.close)
        launching.settle(bundle, engine, PlanCache.of(bundle), builder.key(bundle, batch), builder.say, clock)
        opened.pop_all()
    return engine


def _agreeing(bundle: Bundle, builder: PlanBuilder, make_driver: Callable[[], Driver], batch: int) -> StreamEngine:
    with ExitStack() as opened:
        driver = make_driver()
        opened.callback(driver.close)
        with driver.current():  # TensorRT measures its kernels there
            plan, fresh = builder.plan(bundle, batch)
        kernel = cubin(builder.target.architecture, PlanCache.of(bundle))
        opened.pop_all()  # the engine closes the driver
    try:
        load = partial(builder.tensorrt.load, plan, bundle.manifest, batch)
        return _checked(bundle, StreamEngine(bundle.manifest, driver, load, kernel))
    except (PlanRefused, GoldenMismatch) as error:
        builder.discard_plan(bundle, batch, str(error))
        if fresh:
            raise
    return _agreeing(bundle, builder, make_driver, batch)  # there is none now, so it is built


def _checked(bundle: Bundle, engine: StreamEngine) -> StreamEngine:
    """Hold network and kernel against the golden frames; closes an engine that fails."""
    try:
        bundle.check(engine.infer)
        for frame in bundle.golden.frames:
            gap = largest_gap(engine.prepare(frame), bundle.prepare(frame))
            if gap > 1:  # OpenCV averages in floating point, the kernel in integers
                raise EngineError(
                    f"{engine.description}: found the kernel {gap} grey levels away from the bundle's preprocessing, "
                    f"expected at most 1; remove the .cubin files in {PlanCache.of(bundle).folder}, do not go on line"
                )
    except BaseException:
        engine.close()
        raise
    return engine


def largest_gap(one: Image, other: Image) -> int:
    """The largest difference of two images of the same shape, in grey levels."""
    return int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())
