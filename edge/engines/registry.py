"""The registry of engines: the function that opens each, by name."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from bundle import Bundle
from edge.config.defaults import DEFAULT_ENGINE as DEFAULT_ENGINE
from edge.engines.engine import Engine
from edge.engines.reopening import ReopeningEngine
from edge.engines.two_stage import TwoStageEngine
from edge.errors import EngineError, EngineMissing

Opener = Callable[[Bundle, int | None, int], Engine]
"""Opens an engine on (bundle, CPU threads, largest batch); raises EngineError."""


@dataclass(frozen=True)
class EngineKind:
    """One entry of the registry."""

    opener: str
    """Module and function, `package.module:function`; imported when an engine of this kind is opened."""
    reopens: bool = False
    """Whether a failed engine can be opened again in the same process, as after the loss of a GPU."""
    trial_s: float = 120.0
    """Time limit of the child process that opens a bundle first; importing and opening take about two seconds."""
    limits_memory: bool = True
    """Whether the child's address space is limited too. Not on a GPU: CUDA reserves far more than it uses."""
    processor_package: str = ""
    """Python package of an engine on the processor; `engine = "cpu"` chooses among these engines."""


BUILD_S = 1080.0
"""Time of a child that builds a TensorRT plan or measures every processor engine, whose result the station then finds
in the cache; below TimeoutStartSec."""


ENGINES = {
    "onnxruntime": EngineKind("edge.engines.onnxruntime_cpu:open_onnxruntime", processor_package="onnxruntime"),
    "openvino": EngineKind("edge.engines.openvino_cpu:open_openvino", processor_package="openvino"),
    "openvino-bf16": EngineKind("edge.engines.openvino_cpu:open_bf16", processor_package="openvino"),
    "openvino-fp16": EngineKind("edge.engines.openvino_cpu:open_fp16", processor_package="openvino"),
    "cpu": EngineKind("edge.engines.fastest:open_fastest", trial_s=BUILD_S),
    "tensorrt": EngineKind(
        "edge.engines.tensorrt_.build:open_tensorrt_engine", reopens=True, trial_s=BUILD_S, limits_memory=False
    ),
    "tensorrt_rtx": EngineKind(
        "edge.engines.tensorrt_.build:open_tensorrt_rtx_engine", reopens=True, trial_s=BUILD_S, limits_memory=False
    ),
}
"""A new engine is one file and one line here; tests/edge/engines/test_contract.py runs on every name."""


def open_engine(
    name: str,
    bundle: Bundle,
    threads: int | None = None,
    batch: int = 1,
    reopens: bool = False,
    kinds: Mapping[str, EngineKind] = ENGINES,
) -> Engine:
    """Open an engine on a bundle, then check it on the bundle's golden frames; a first stage likewise on its own.

    threads: CPU threads; None leaves the choice to the engine. batch: largest number of frames passed to `begin`.
    reopens: open the engine again after its device has failed, where the engine supports it.
    Raises EngineError for an unknown name and for an opening that does not end within the kind's `trial_s`,
    EngineMissing if the engine is not installed here, GoldenMismatch if its outputs differ. There is no fall-back from
    one engine to another.
    """
    if name not in kinds:
        known = ", ".join(repr(each) for each in kinds)
        raise EngineError(f"engine: found {name!r}, expected one of {known}; correct the configuration or the option")
    kind = kinds[name]
    open_one = partial(open_stages, load_opener(name, kind), bundle, threads, batch)
    make = partial(ReopeningEngine, open_one) if reopens and kind.reopens else open_one
    return _within(kind.trial_s, make, f"{bundle.folder}: opening it with {name}")


def load_opener(name: str, kind: EngineKind) -> Opener:
    """Import the function that opens an engine; raises EngineMissing if its packages are not installed."""
    module, _, function = kind.opener.partition(":")
    try:
        found: Opener = getattr(import_module(module), function)
    except ImportError as error:
        raise EngineMissing(
            f"engine {name}: cannot be imported ({error}), expected its packages to be installed; "
            "install them, or name another engine"
        ) from None
    return found


def _within(seconds: float, make: Callable[[], Engine], what: str) -> Engine:
    """Make an engine in a thread, which is left behind if it does not end: native code cannot be interrupted."""
    made: Future[Engine] = Future()

    def run() -> None:
        try:
            made.set_result(make())
        except BaseException as error:  # raised in the waiting thread
            made.set_exception(error)

    threading.Thread(target=run, name="open engine", daemon=True).start()
    try:
        return made.result(seconds)
    except FutureTimeout:
        raise EngineError(f"{what}: found no end after {seconds:g} s, expected one; do not use this bundle") from None


def open_stages(opener: Opener, bundle: Bundle, threads: int | None, batch: int) -> Engine:
    """Open an engine on a bundle, and one on its first stage where it has one. Raises as `open_checked`."""
    engine, stage = open_checked(opener, bundle, threads, batch), bundle.manifest.first_stage
    if stage is None or bundle.first_stage is None:
        return engine
    try:
        return TwoStageEngine(open_checked(opener, bundle.first_stage, threads, batch), engine, stage.level)
    except BaseException:
        engine.close()
        raise


def open_checked(opener: Opener, bundle: Bundle, threads: int | None, batch: int) -> Engine:
    """Open an engine on one network and check it on the golden frames. Raises EngineError, or GoldenMismatch."""
    engine = opener(bundle, threads, batch)
    try:
        bundle.check(engine.infer, engine.tolerance)
    except BaseException:
        engine.close()
        raise
    return engine
