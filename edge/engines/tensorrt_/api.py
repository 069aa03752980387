"""TensorRT calls: build, load and run a plan. The only file that imports `tensorrt` or `tensorrt_rtx`.

One code path for TensorRT 10.3 to 11 and TensorRT for RTX, with calls that all of them have; version switches are in
`_configured` and `_measured`. A test compares every name used here with the real bindings of each version by the names
of the variables: `builder`, `config`, `engine`, `context` and so on are always TensorRT objects.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import IO, Any

from bundle import Manifest
from edge.engines.tensorrt_.driver import Memory, Stream
from edge.engines.tensorrt_.plan_key import ANY_GPU, BuildOptions, Edition, PlanTarget
from edge.errors import DeviceError, EngineError, EngineMissing, PlanRefused

Progress = Callable[[str, int, int], None]
"""Progress callback of a build: phase, finished steps, total steps."""

INSTALL = {
    "tensorrt": "on a Jetson: sudo apt install python3-libnvinfer, and a virtual environment that sees it",
    "tensorrt_rtx": "pip install tensorrt-rtx-cu13",
}


@dataclass(frozen=True)
class BuildRequest:
    """Inputs of one plan build."""

    model: bytes
    """The ONNX file."""
    manifest: Manifest
    target: PlanTarget
    batch: int
    options: BuildOptions
    ahead: bool = False
    """Whether the plan is built for a GPU of another machine."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input, with the batch."""
        spec = self.manifest.input.network
        return self.batch, spec.channels, spec.height, spec.width


@cache
def open_tensorrt(edition: Edition) -> "TensorRt":
    """Import TensorRT once; a process can have only one of its loggers. Raises EngineMissing."""
    try:
        trt = importlib.import_module(edition)
    except ImportError as error:
        raise EngineMissing(
            f"{edition}: cannot be imported ({error}), expected TensorRT for this Python; {INSTALL[edition]}"
        ) from None
    return TensorRt(edition, trt)


class TensorRt:
    """One edition of TensorRT."""

    def __init__(self, edition: Edition, trt: Any) -> None:
        self.edition = edition
        self.version = f"{edition} {trt.__version__}"
        self._trt = trt
        self._words = _listener(trt)

    def target(self, gpu: str, compute_capability: str) -> PlanTarget:
        """Target of a plan for this GPU; a plan of TensorRT for RTX fits every GPU of a compute capability."""
        return PlanTarget(gpu=gpu if self.edition == "tensorrt" else ANY_GPU, compute_capability=compute_capability)

    def build(
        self, request: BuildRequest, log: IO[str], timings: bytes | None, progress: Progress
    ) -> tuple[bytes, bytes | None, float]:
        """Build a plan; takes minutes on a Jetson.

        log: receives the messages of TensorRT. timings: timing cache of an earlier build, if any.
        Returns the plan, the updated timing cache and the build time in seconds. Raises EngineError.
        """
        trt, start = self._trt, perf_counter()
        self._words.log_to(log)
        try:
            builder = trt.Builder(self._words)
            network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
            self._parse(network, request)
            config = self._configured(builder, request, timings, progress)
            plan = builder.build_serialized_network(network, config)
            if plan is None:
                raise self._failure(request, "TensorRT cannot build it")
            return bytes(plan), self._measured(config), perf_counter() - start
        finally:
            self._words.log_to(None)

    def load(self, plan: bytes, manifest: Manifest, batch: int) -> "PlanNetwork":
        """Load a plan on the GPU of the current context. Raises PlanRefused if TensorRT rejects it."""
        trt = self._trt
        runtime = trt.Runtime(self._words)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise PlanRefused(f"plan: {self.version} does not take it ({self._words.trouble()})")
        _check_tensors(trt, engine, manifest)
        return PlanNetwork(self, runtime, engine, manifest, batch)

    def failed(self, what: str) -> DeviceError:
        """Return the DeviceError of a failed TensorRT call."""
        return DeviceError(
            f"{self.version}: could not {what} ({self._words.trouble()}); is the GPU's memory full? See dmesg"
        )

    def _parse(self, network: Any, request: BuildRequest) -> None:
        parser = self._trt.OnnxParser(network, self._words)
        if not parser.parse(request.model):
            problem = parser.get_error(0)
            raise self._failure(request, f"TensorRT cannot read the graph ({problem.desc().strip()})")

    def _configured(self, builder: Any, request: BuildRequest, timings: bytes | None, progress: Progress) -> Any:
        trt = self._trt
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.options.workspace_mib << 20)
        config.builder_optimization_level = request.options.optimization_level
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.progress_monitor = _monitor(trt, progress)
        profile = builder.create_optimization_profile()
        profile.set_shape("frames", request.shape, request.shape, request.shape)
        config.add_optimization_profile(profile)
        if self.edition == "tensorrt_rtx":
            self._aim(config, request)
        else:
            timing_cache = config.create_timing_cache(timings or b"")
            config.set_timing_cache(timing_cache, False)  # false: a timing cache of another device is rejected
        return config

    def _measured(self, config: Any) -> bytes | None:
        """Return the updated timing cache; TensorRT for RTX has none."""
        if self.edition == "tensorrt_rtx":
            return None
        timing_cache = config.get_timing_cache()
        return bytes(timing_cache.serialize())

    def _aim(self, config: Any, request: BuildRequest) -> None:
        """Set the target GPU of TensorRT for RTX; TensorRT itself builds for the GPU that it runs on.

        A GPU of this machine may have no name in TensorRT; then TensorRT decides whether it can build for it.
        """
        trt, architecture = self._trt, request.target.architecture
        known = trt.ComputeCapability.__members__
        name = architecture.replace("_", "").upper()
        if name not in known and request.ahead:
            offered = ", ".join(member.replace("SM", "sm_") for member in known if member.startswith("SM"))
            raise EngineError(f"{self.version}: found {architecture}, expected one of {offered}")
        config.num_compute_capabilities = 1
        config.set_compute_capability(known.get(name, trt.ComputeCapability.CURRENT), 0)

    def _failure(self, request: BuildRequest, what: str) -> EngineError:
        return EngineError(
            f"{request.manifest.name}: {what}; {self._words.trouble()}; "
            "export the bundle again or report it with the log"
        )


class PlanNetwork:
    """A loaded plan; see `Network`."""

    def __init__(self, tensorrt: TensorRt, runtime: Any, engine: Any, manifest: Manifest, batch: int) -> None:
        self.batch = batch
        self.description = tensorrt.version
        spec = manifest.input.network
        self._shape = batch, spec.channels, spec.height, spec.width
        self._tensorrt, self._runtime, self._engine = tensorrt, runtime, engine

    def make_context(self) -> "PlanContext":
        """Create an execution context with its own activations. Raises DeviceError if memory is short."""
        context = self._engine.create_execution_context()
        if context is None:
            raise self._tensorrt.failed("make an execution context")
        if not context.set_input_shape("frames", self._shape):
            raise self._tensorrt.failed(f"set the input shape {self._shape}")
        return PlanContext(self._tensorrt, context)

    def close(self) -> None:
        """Free the plan in the order that TensorRT requires."""
        del self._engine
        del self._runtime


class PlanContext:
    """An execution context, used on one stream at a time; see `Context`."""

    def __init__(self, tensorrt: TensorRt, context: Any) -> None:
        self._tensorrt, self._context = tensorrt, context

    def bind(self, tensor: str, memory: Memory) -> None:
        """Set the address of a tensor. Raises DeviceError."""
        context = self._context
        if not context.set_tensor_address(tensor, int(memory)):
            raise self._tensorrt.failed(f"bind {tensor}")

    def enqueue(self, stream: Stream) -> None:
        """Enqueue one run. Raises DeviceError."""
        context = self._context
        if not context.execute_async_v3(int(stream.handle)):
            raise self._tensorrt.failed("queue the network")


def _check_tensors(trt: Any, engine: Any, manifest: Manifest) -> None:
    """Raise PlanRefused unless the plan's tensors match the manifest, from which the buffers are allocated."""
    spec, cells, classes = manifest.input.network, manifest.network_masks, len(manifest.classes)
    expected = {
        "frames": (trt.uint8, (spec.channels, spec.height, spec.width)),
        "scores": (trt.float32, (classes,)),
        "masks": (trt.uint8, (classes, cells.height, cells.width)),
    }
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    found = {name: (engine.get_tensor_dtype(name), tuple(engine.get_tensor_shape(name))[1:]) for name in names}
    if found != expected:
        raise PlanRefused(f"plan: found tensors {found}, expected {expected}; export the bundle again")


def _listener(trt: Any) -> Any:
    """Logger of TensorRT for this process: keeps the last error, writes every message to an open log."""

    class Words(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._log: IO[str] | None = None
            self._trouble = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self._trouble = message.strip()
            if self._log is not None:
                self._log.write(f"[{severity.name[0]}] {message}\n")

        def log_to(self, log: IO[str] | None) -> None:
            self._log, self._trouble = log, ""

        def trouble(self) -> str:
            return self._trouble or "it does not say why"

    return Words()


def _monitor(trt: Any, progress: Progress) -> Any:
    """Progress monitor of TensorRT that reports the outermost phase."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._steps:
                progress(phase_name, step + 1, self._steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
