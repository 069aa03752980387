"""The onnxruntime engine on the CPU execution provider."""

from collections.abc import Mapping
from typing import cast

import onnxruntime as ort

from bundle import Bundle, Image
from edge.engines.engine import Outputs
from edge.engines.processor import ProcessorEngine, first_line
from edge.errors import EngineError

SPINNING: dict[str, str] = {"session.intra_op.spin_duration_us": "50", "session.force_spinning_stop": "1"}
"""Threads wait busily for the next layer for 50 us, then sleep, and never between frames.

By default they spin for 35 ms after a frame, on the cores that records, page and picture encoding need. On two idle
cores this is as fast; with every picture kept, `models/magnetic-tile` reaches 0.70 of the bare engine instead of 0.53.
onnxruntime 1.23 knows the second entry alone.
"""


IN_FLOAT32 = {"session.disable_quant_qdq": "1", "session.enable_quant_qdq_cleanup": "1"}
"""Takes the quantisers of an INT8 graph away. Its outputs are then those of the float network, up to 119 levels of a
mask from INT8's in `models/magnetic-tile-int8`: good for the time of a frame alone."""


class OnnxruntimeEngine(ProcessorEngine):
    """Runs `model.onnx` unchanged on the CPU, unless further settings of the session say otherwise."""

    def __init__(self, bundle: Bundle, threads: int | None = None, further: Mapping[str, str] | None = None) -> None:
        settings = ort.SessionOptions()
        settings.log_severity_level = 3  # errors only; warnings would be printed on the operator's terminal
        for name, value in {**SPINNING, **(further or {})}.items():
            settings.add_session_config_entry(name, value)
        if threads is not None:
            settings.intra_op_num_threads = threads
        model = bundle.read_model()
        try:
            self._session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no public base class
            raise EngineError(f"{bundle.model}: onnxruntime cannot load it ({first_line(error)})") from None
        super().__init__(bundle.manifest, f"onnxruntime {ort.__version__} on the CPU, {bundle.manifest.precision}")

    def _infer(self, inputs: Image) -> Outputs:
        try:
            return cast(Outputs, tuple(self._session.run(["scores", "masks"], {"frames": inputs})))
        except Exception as error:  # as above
            raise EngineError(f"{self.description}: inference failed ({first_line(error)})") from None


def open_in_float32(bundle: Bundle, threads: int | None, _batch: int) -> OnnxruntimeEngine:
    """Open an INT8 bundle without its quantisers, to measure what the network would take in float32."""
    return OnnxruntimeEngine(bundle, threads, IN_FLOAT32)


def open_onnxruntime(bundle: Bundle, threads: int | None, _batch: int) -> OnnxruntimeEngine:
    """Open the engine; the batch size is not limited."""
    return OnnxruntimeEngine(bundle, threads)
