"""Open a bundle on a GPU: find or build the plan, compile the kernel, check both on the golden frames."""

import logging
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from bundle import Bundle, GoldenMismatch, Image
from bundle.folder import MODEL
from edge.engines.tensorrt_ import launch_mode as launching
from edge.engines.tensorrt_.api import BuildRequest, Progress, TensorRt, open_tensorrt
from edge.engines.tensorrt_.driver import Driver
from edge.engines.tensorrt_.engine import StreamEngine
from edge.engines.tensorrt_.plan_cache import PlanCache, make_entry
from edge.engines.tensorrt_.plan_key import BuildOptions, Edition, PlanKey, PlanTarget
from edge.engines.tensorrt_.preprocess_kernel import cubin
from edge.engines.tensorrt_.pycuda_driver import CudaDriver, ask_driver
from edge.errors import EngineError, EngineMissing, PlanRefused

log = logging.getLogger(__name__)

DEFAULTS = BuildOptions()


def _no_progress(phase: str, done: int, steps: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class PlanBuilder:
    """Source of plans: the plan cache, or a TensorRT build on a cache miss."""

    tensorrt: TensorRt
    target: PlanTarget
    options: BuildOptions = DEFAULTS
    progress: Progress = _no_progress
    say: Callable[[str], None] = log.info
    ahead: bool = False
    """Whether the plans are for a GPU of another machine."""

    def plan(self, bundle: Bundle, batch: int) -> tuple[bytes, bool]:
        """Return the plan of a bundle and whether it was built now; the reason of a build is logged."""
        cache, key = PlanCache.of(bundle), self.key(bundle, batch)
        found, reason = cache.find(key)
        if found is not None:
            self.say(f"{bundle.manifest.name}: plan found, {cache.path(key, 'plan')}")
            return found, False
        self.say(f"{bundle.manifest.name}: building a plan, because: {reason}")
        return self._build(bundle, cache, key), True

    def discard_plan(self, bundle: Bundle, batch: int, reason: str) -> None:
        """Remove the cached plan of a bundle; the reason is logged."""
        key = self.key(bundle, batch)
        PlanCache.of(bundle).discard(key)
        self.say(f"{bundle.manifest.name}: plan {key.name} discarded, because: {reason}")

    def key(self, bundle: Bundle, batch: int) -> PlanKey:
        """Return the cache key of the bundle's plan."""
        return PlanKey(
            onnx_sha256=bundle.manifest.files[MODEL],
            tensorrt=self.tensorrt.version,
            target=self.target,
            batch=bundle.manifest.run_size(batch),
            options=self.options,
        )

    def _build(self, bundle: Bundle, cache: PlanCache, key: PlanKey) -> bytes:
        request = BuildRequest(bundle.read_model(), bundle.manifest, self.target, key.batch, self.options, self.ahead)
        timings = re.sub(r"[^\w.]+", "-", f"{key.tensorrt}-{key.target.gpu}.timings")
        with cache.log(key) as words:
            try:
                plan, measured, seconds = self.tensorrt.build(request, words, cache.read(timings), self.progress)
            except EngineError as error:
                raise EngineError(f"{error}; see the messages of TensorRT in {words.name}") from None
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
    """Return a builder for GPUs of another machine, of an architecture such as sm_86. Raises EngineError."""
    digits = re.fullmatch(r"sm_(\d+)(\d)", architecture)
    if digits is None:
        raise EngineError(f"architecture: found {architecture!r}, expected one such as sm_86")
    if edition != "tensorrt_rtx":
        raise EngineError(f"{edition} builds on the GPU that it is for; expected tensorrt_rtx to build ahead of time")
    tensorrt = open_tensorrt(edition)
    return PlanBuilder(tensorrt, tensorrt.target("", ".".join(digits.groups())), options, progress, say, ahead=True)


def build_ahead(bundle: Bundle, builder: PlanBuilder, batch: int = 1) -> None:
    """Build plan and kernel for a GPU of another machine into the cache; the golden frames are checked there."""
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
    """Open a bundle on this machine's GPU; see `open_checked`. Raises EngineMissing if there is none."""
    ask_driver()
    tensorrt = open_tensorrt(edition)
    device = CudaDriver()
    target = tensorrt.target(device.name, device.compute_capability)
    device.close()
    return open_checked(bundle, PlanBuilder(tensorrt, target, options, progress, say), CudaDriver, batch)


def open_tensorrt_engine(bundle: Bundle, _threads: int | None, batch: int) -> StreamEngine:
    """Open a bundle with NVIDIA TensorRT."""
    return _open_by_name("tensorrt", bundle, batch)


def open_tensorrt_rtx_engine(bundle: Bundle, _threads: int | None, batch: int) -> StreamEngine:
    """Open a bundle with TensorRT for RTX."""
    return _open_by_name("tensorrt_rtx", bundle, batch)


def _open_by_name(edition: Edition, bundle: Bundle, batch: int) -> StreamEngine:
    try:
        return open_on_gpu(edition, bundle, batch)
    except EngineMissing as error:
        raise EngineMissing(f"engine {edition}: {error}") from None


def open_checked(
    bundle: Bundle,
    builder: PlanBuilder,
    make_driver: Callable[[], Driver],
    batch: int = 1,
    clock: launching.Clock = perf_counter,
) -> StreamEngine:
    """Open a bundle's plan, check it on the golden frames, choose the faster launch mode.

    A cached plan that TensorRT rejects, or that fails the check, is discarded and rebuilt once.
    Raises EngineError or GoldenMismatch; then the plan is removed from the cache.
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
        with driver.current():  # TensorRT measures its kernels in this context
            plan, fresh = builder.plan(bundle, batch)
        kernel = cubin(builder.target.architecture, PlanCache.of(bundle))
        opened.pop_all()  # the engine closes the driver
    try:
        load = partial(builder.tensorrt.load, plan, bundle.manifest, bundle.manifest.run_size(batch))
        return _checked(bundle, StreamEngine(bundle.manifest, driver, load, kernel))
    except (PlanRefused, GoldenMismatch) as error:
        builder.discard_plan(bundle, batch, str(error))
        if fresh:
            raise
    return _agreeing(bundle, builder, make_driver, batch)  # the cache is empty now, so the plan is built


def _checked(bundle: Bundle, engine: StreamEngine) -> StreamEngine:
    """Check network and kernel on the golden frames; closes an engine that fails."""
    try:
        bundle.check(engine.infer)
        for frame in () if bundle.manifest.input.tiles else bundle.golden.frames:  # tiles are prepared on the host
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
    """Return the largest difference of two images of the same shape, in grey levels."""
    return int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())
