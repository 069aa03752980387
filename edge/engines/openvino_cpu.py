"""The OpenVINO engine on the CPU device.

OpenVINO 2026.4 computes ONNX Q/DQ pairs around a concatenation wrongly: behind it the values are multiples of 1, not of
the pairs' scale. One FakeQuantize with the range of the values in the place of each pair is computed as the graph says.
"""

import hashlib
import io
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, Image, Precision
from bundle.folder import MODEL
from edge.engines.engine import Outputs
from edge.engines.engine_cache import EngineCache
from edge.engines.processor import ProcessorEngine, first_line, processor_name
from edge.errors import EngineError, EngineMissing

CONVERTER = "openvino.tools.ovc"
if "openvino" not in sys.modules:
    sys.modules[CONVERTER] = None  # type: ignore[assignment]  # OpenVINO imports it for nothing, it reports to Intel
import openvino as ov  # noqa: E402
from openvino import opset13 as operators  # noqa: E402

if sys.modules.get(CONVERTER, ov) is None:
    del sys.modules[CONVERTER]

log = logging.getLogger(__name__)

DEVICE = "CPU"
DIGEST_BYTES = 32
SAFE_WEIGHT = 64
"""Largest INT8 weight whose pairs of products with a byte fit 16 bits; see `export/graph/qdq.py`."""
WIDE_SUMS = ("vnni", "amx_int8", "aarch64")
"""Parts of a processor's name that stand for sums of 8-bit products in 32 bits."""
INTEGER_STEPS = ("Convert", "Subtract")
"""Operators between an ONNX quantiser and the multiplication by its scale."""


FloatType = Literal["f32", "bf16", "f16"]
"""Type of the layers that are not INT8, under OpenVINO's name."""
CAPABILITIES: Mapping[FloatType, str] = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
"""Capability that a processor needs for the type, by its name in OPTIMIZATION_CAPABILITIES."""


LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that limit the instruction set of OpenVINO, which reports the capabilities of the processor all
the same: with AVX or less, 2026.4 ends the process when it compiles a network in bfloat16 (SIGSEGV)."""


TOLERANCES: Mapping[FloatType, Precision] = {"bf16": "int8", "f16": "fp16"}
"""Precision whose tolerance holds for layers in the type, where it is wider than that of the bundle's own. bfloat16
rounds to 8 bits, float16 to 11: on 139 pictures of Magnetic Tile its scores were up to 0.04 from float32's, its masks
up to 22 levels, and one verdict was another."""


@cache
def shared_core() -> ov.Core:
    """OpenVINO's devices, which this process keeps.

    The first use of the CPU device gives the calling thread another alternate signal stack, on which Python handles
    its signals; whichever thread released the Core would unmap it, and the next signal would end the process.
    """
    return ov.Core()


class OpenVinoEngine(ProcessorEngine):
    """Runs `model.onnx`, its layers in `floats` or INT8 as the graph says.

    A single frame uses all threads in one stream. Several frames, or tiles, share the threads among streams, which wait
    less for each other.
    Raises EngineError for an INT8 bundle whose products would saturate on this processor, EngineMissing for a type
    that the processor does not compute.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = None,
        processor: str | None = None,
        floats: FloatType = "f32",
        capabilities: Collection[str] | None = None,
        batch: int = 1,
    ) -> None:
        """batch: largest number of frames at a time, without tiles; processor: as `processor_name` gives it.

        capabilities: as OpenVINO does; None for those of this machine.
        """
        saturates = not any(sign in (processor or processor_name()) for sign in WIDE_SUMS)
        core = shared_core()
        found = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES") if capabilities is None else capabilities
        if CAPABILITIES[floats] not in found:
            raise EngineMissing(
                f"engine openvino-{CAPABILITIES[floats].lower()}: found a processor with {', '.join(found)}, expected "
                f"{CAPABILITIES[floats]}; take openvino, which computes in float32"
            )
        limits = [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]
        if floats != "f32" and limits:
            raise EngineMissing(
                f"engine openvino-{CAPABILITIES[floats].lower()}: found {', '.join(limits)}, expected no limit of the "
                "instruction set; unset it, or take openvino, which computes in float32"
            )
        try:
            compiled = _compiled(core, bundle, _settings(threads, floats), saturates)
            self._request = compiled.create_infer_request()
            self._at_a_time: list[ov.InferRequest] = []
            streams = min(bundle.manifest.run_size(batch), threads or os.cpu_count() or 1)
            if streams > 1:
                shared = _compiled(core, bundle, _settings(threads, floats, streams), saturates)
                self._at_a_time = [shared.create_infer_request() for _ in range(streams)]
        except RuntimeError as error:
            raise EngineError(f"{bundle.model}: OpenVINO cannot load it ({first_line(error)})") from None
        release = ov.__version__.split("-")[0]
        layers = "" if floats == "f32" else f", layers in {floats}"
        super().__init__(bundle.manifest, f"OpenVINO {release} on the CPU, {bundle.manifest.precision}{layers}")
        of_type = bundle.manifest.tolerances.get(TOLERANCES.get(floats, bundle.manifest.precision), self.tolerance)
        self.tolerance = max(self.tolerance, of_type, key=lambda one: one.mask)
        self.coarser = floats == "bf16" or (floats == "f16" and bundle.manifest.precision != "fp16")

    def _infer(self, inputs: Image) -> Outputs:
        try:
            streams = len(self._at_a_time)
            whole = len(inputs) // streams * streams if streams else 0  # rounds in which no stream is idle
            found = _in_streams(self._at_a_time, inputs[:whole])
            found += [self._request.infer(_named(frame), share_inputs=True) for frame in inputs[whole:]]
        except RuntimeError as error:
            raise EngineError(f"{self.description}: inference failed ({first_line(error)})") from None
        scores, masks = (np.concatenate([outputs[name] for outputs in found]) for name in ("scores", "masks"))
        return scores, masks


def _named(frame: Image) -> dict[str, Image]:
    """Input of one run."""
    return {"frames": frame[np.newaxis]}


def _in_streams(requests: Sequence[ov.InferRequest], inputs: Image) -> list[dict[str, NDArray[Any]]]:
    """Run frames at the same time, as many as there are requests; returns the outputs in the order of the frames."""
    found, running = [], deque[ov.InferRequest]()
    try:
        for number, frame in enumerate(inputs):
            if len(running) == len(requests):
                found.append(_outputs(running.popleft()))
            request = requests[number % len(requests)]
            request.start_async(_named(frame), share_inputs=True)
            running.append(request)
        while running:
            found.append(_outputs(running.popleft()))
        return found
    finally:
        for request in running:  # after an error: they read the inputs
            with suppress(RuntimeError):
                request.wait()


def _outputs(request: ov.InferRequest) -> dict[str, NDArray[Any]]:
    request.wait()
    return {name: request.get_tensor(name).data.copy() for name in ("scores", "masks")}


def open_openvino(bundle: Bundle, threads: int | None, batch: int) -> OpenVinoEngine:
    """Open the engine; more frames than `batch` are run as well."""
    return OpenVinoEngine(bundle, threads, batch=batch)


def open_bf16(bundle: Bundle, threads: int | None, batch: int) -> OpenVinoEngine:
    """Open the engine with its float layers in bfloat16, which needs AVX512-BF16, AMX or Arm's BF16."""
    return OpenVinoEngine(bundle, threads, floats="bf16", batch=batch)


def open_fp16(bundle: Bundle, threads: int | None, batch: int) -> OpenVinoEngine:
    """Open the engine with its float layers in float16, which needs AMX-FP16, AVX512-FP16 or Arm's FP16."""
    return OpenVinoEngine(bundle, threads, floats="f16", batch=batch)


def _settings(threads: int | None, floats: FloatType, streams: int = 1) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "NUM_STREAMS": str(streams),
        "INFERENCE_PRECISION_HINT": floats,  # by default bf16 on processors with AMX or AVX512-BF16
        "ENABLE_CPU_PINNING": False,  # two stations would share the first cores of a machine
    }
    return chosen | ({} if threads is None else {"INFERENCE_NUM_THREADS": threads})


def _compiled(core: ov.Core, bundle: Bundle, settings: Mapping[str, Any], saturates: bool) -> ov.CompiledModel:
    """Load the compiled network from the cache, or compile it for frames one by one and store it.

    A damaged entry is compiled again. Without a cache that can be written it is compiled at each start.
    """
    cache, name = EngineCache.of(bundle), _entry(core, bundle, settings, saturates)
    if (stored := _stored(cache, name)) is not None:
        try:
            return core.import_model(stored, DEVICE, settings)
        except RuntimeError as error:
            log.warning("%s: OpenVINO refuses it, compiled again: %s", cache.folder / name, first_line(error))
    model = core.read_model(bundle.read_model())
    if bundle.manifest.precision == "int8":
        if saturates:
            _check_weights(model, bundle)
        _join_quantisers(model)
    spec = bundle.manifest.input.network
    model.reshape({"frames": [1, spec.channels, spec.height, spec.width]})
    compiled = core.compile_model(model, DEVICE, settings)
    blob = io.BytesIO()
    compiled.export_model(blob)
    content = blob.getvalue()
    try:
        cache.write(name, hashlib.sha256(content).digest() + content)
    except EngineError as error:
        log.info("the compiled network is not kept: %s", error)
    return compiled


def _entry(core: ov.Core, bundle: Bundle, settings: Mapping[str, Any], saturates: bool) -> str:
    """File name of the compiled network: a hash of all that it depends on."""
    processor = core.get_property(DEVICE, "FULL_DEVICE_NAME"), core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    key = [bundle.manifest.files[MODEL], ov.__version__, processor, settings, saturates, "constant ranges"]
    return f"openvino-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}.blob"


def _stored(cache: EngineCache, name: str) -> bytes | None:
    """Entry of the cache whose hash agrees."""
    with suppress(OSError):
        stored = cache.read(name)
        if stored is not None and hashlib.sha256(stored[DIGEST_BYTES:]).digest() == stored[:DIGEST_BYTES]:
            return stored[DIGEST_BYTES:]
    return None


def _check_weights(model: ov.Model, bundle: Bundle) -> None:
    """Raise EngineError if INT8 weights have more bits than this processor multiplies without saturation."""
    weights = (node for node in model.get_ops() if node.get_type_name() == "Constant" and len(node.shape) > 1)
    largest = max(
        (int(np.abs(node.data.astype(int)).max()) for node in weights if node.data.dtype == np.int8), default=0
    )
    if largest > SAFE_WEIGHT:
        raise EngineError(
            f"{bundle.folder}: found INT8 weights up to {largest}, expected at most {SAFE_WEIGHT} on a processor "
            "without VNNI: products saturate; calibrate without --gpu-weights, or take the fp32 bundle or onnxruntime"
        )


def _join_quantisers(model: ov.Model) -> None:
    """Put one FakeQuantize in the place of each quantiser with its dequantiser; see the head of this file.

    Its ranges are constants and nothing stands behind it: OpenVINO computes the layers around it in float32 otherwise.
    """
    for quantiser in model.get_ordered_ops():
        if quantiser.get_type_name() != "FakeQuantize":
            continue
        low, high = (quantiser.input_value(place).get_node().data for place in (3, 4))
        for scaled in list(_scaled(quantiser)):
            scale = scaled.input_value(1).get_node().data.astype(np.float32)
            inputs = (quantiser.input_value(place) for place in range(3))
            joined = operators.fake_quantize(*inputs, low * scale, high * scale, levels=256)
            joined.set_friendly_name(scaled.get_friendly_name())
            if scaled.get_element_type() != joined.get_element_type():  # fp16 around INT8
                joined = operators.convert(joined, scaled.get_element_type().to_string())
            scaled.output(0).replace(joined.output(0))


def _scaled(node: ov.Node) -> Iterator[ov.Node]:
    """Multiplications by a scale that follow a quantiser, whose zero-point is 0."""
    for user in (place.get_node() for place in node.output(0).get_target_inputs()):
        if user.get_type_name() == "Multiply":
            yield user
        elif user.get_type_name() in INTEGER_STEPS:
            yield from _scaled(user)
