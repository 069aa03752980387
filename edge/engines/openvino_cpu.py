"""The OpenVINO engine on the CPU device."""

import hashlib
import io
import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from bundle import Bundle, Image
from bundle.folder import MODEL
from edge.engines.engine import Outputs
from edge.engines.engine_cache import EngineCache
from edge.engines.processor import ProcessorEngine, first_line
from edge.errors import EngineError

CONVERTER = "openvino.tools.ovc"
if "openvino" not in sys.modules:
    sys.modules[CONVERTER] = None  # type: ignore[assignment]  # OpenVINO imports it for nothing, it reports to Intel
import openvino as ov  # noqa: E402

if sys.modules.get(CONVERTER, ov) is None:
    del sys.modules[CONVERTER]

log = logging.getLogger(__name__)

DEVICE = "CPU"
DIGEST_BYTES = 32


class OpenVinoEngine(ProcessorEngine):
    """Runs `model.onnx` in float32, frame by frame in one stream. Raises EngineError for an INT8 bundle."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if bundle.manifest.precision == "int8":  # 2026.4, AVX2: convolutions after a concatenation; docs/engines.md
            raise EngineError(
                f"{bundle.folder}: found an INT8 bundle, expected fp32 or fp16: OpenVINO's INT8 differs from the graph "
                "by more than the golden frames show; take the fp32 bundle, or onnxruntime"
            )
        try:
            compiled = _compiled(ov.Core(), bundle, _settings(threads))
            self._request = compiled.create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"{bundle.model}: OpenVINO cannot load it ({first_line(error)})") from None
        release = ov.__version__.split("-")[0]
        super().__init__(bundle.manifest, f"OpenVINO {release} on the CPU, {bundle.manifest.precision}")

    def _infer(self, inputs: Image) -> Outputs:
        try:
            found = [self._request.infer({"frames": frame[np.newaxis]}, share_inputs=True) for frame in inputs]
        except RuntimeError as error:
            raise EngineError(f"{self.description}: inference failed ({first_line(error)})") from None
        scores, masks = (np.concatenate([outputs[name] for outputs in found]) for name in ("scores", "masks"))
        return scores, masks


def open_openvino(bundle: Bundle, threads: int | None, _batch: int) -> OpenVinoEngine:
    """Open the engine; the batch size is not limited, because frames are run one by one."""
    return OpenVinoEngine(bundle, threads)


def _settings(threads: int | None) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_PRECISION_HINT": "f32",  # else bf16 on processors with AMX or AVX512-BF16: another result there
        "ENABLE_CPU_PINNING": False,  # two stations would share the first cores of a machine
    }
    return chosen | ({} if threads is None else {"INFERENCE_NUM_THREADS": threads})


def _compiled(core: ov.Core, bundle: Bundle, settings: Mapping[str, Any]) -> ov.CompiledModel:
    """Load the compiled network from the cache, or compile it for frames one by one and store it.

    A damaged entry is compiled again. Without a cache that can be written it is compiled at each start.
    """
    cache, name = EngineCache.of(bundle), _entry(core, bundle, settings)
    if (stored := _stored(cache, name)) is not None:
        try:
            return core.import_model(stored, DEVICE, settings)
        except RuntimeError as error:
            log.warning("%s: OpenVINO refuses it, compiled again: %s", cache.folder / name, first_line(error))
    model = core.read_model(bundle.read_model())
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


def _entry(core: ov.Core, bundle: Bundle, settings: Mapping[str, Any]) -> str:
    """File name of the compiled network: a hash of all that it depends on."""
    processor = core.get_property(DEVICE, "FULL_DEVICE_NAME"), core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    key = [bundle.manifest.files[MODEL], ov.__version__, processor, settings]
    return f"openvino-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}.blob"


def _stored(cache: EngineCache, name: str) -> bytes | None:
    """Entry of the cache whose hash agrees."""
    with suppress(OSError):
        stored = cache.read(name)
        if stored is not None and hashlib.sha256(stored[DIGEST_BYTES:]).digest() == stored[:DIGEST_BYTES]:
            return stored[DIGEST_BYTES:]
    return None
