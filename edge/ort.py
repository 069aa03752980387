"""The engine on onnxruntime's CPU provider."""

from typing import cast

import onnxruntime as ort

from bundle import Bundle, Image
from edge.engine import Engine, Outputs
from edge.errors import EngineError


class OnnxruntimeEngine(Engine):
    """Runs `model.onnx` as it is, on the CPU."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        settings = ort.SessionOptions()
        settings.log_severity_level = 3  # errors; warnings would land on the operator's terminal
        if threads is not None:
            settings.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(bundle.model, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors have no public base class
            raise EngineError(f"{bundle.model}: onnxruntime cannot load it ({_first_line(error)})") from None
        super().__init__(bundle.manifest, f"onnxruntime {ort.__version__} on the CPU, {bundle.manifest.precision}")

    def _infer(self, inputs: Image) -> Outputs:
        try:
            return cast(Outputs, tuple(self._session.run(["scores", "masks"], {"frames": inputs})))
        except Exception as error:  # as above
            raise EngineError(f"{self.description}: inference failed ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
