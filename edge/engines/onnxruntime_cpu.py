"""The engine on onnxruntime's CPU provider."""

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import cast

import cv2
import onnxruntime as ort

from bundle import Bundle, Image
from edge.engines.engine import Engine, Outputs, Pending
from edge.errors import EngineError


class OnnxruntimeEngine(Engine):
    """Runs `model.onnx` as it is, on the CPU.

    Where batches are under way side by side, a thread of its own runs them one after the other, so that the next one is
    prepared, and the one before decided on, meanwhile. A batch that is alone is run by the thread that waits for it:
    handing it over takes 0.2 ms.
    """

    slots = 2

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        cv2.setNumThreads(1)  # OpenCV's would spin where onnxruntime's compute: up to 1 ms of them per frame
        settings = ort.SessionOptions()
        settings.log_severity_level = 3  # errors; warnings would land on the operator's terminal
        if threads is not None:
            settings.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(bundle.model, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors have no public base class
            raise EngineError(f"{bundle.model}: onnxruntime cannot load it ({_first_line(error)})") from None
        super().__init__(bundle.manifest, f"onnxruntime {ort.__version__} on the CPU, {bundle.manifest.precision}")
        self._runner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onnxruntime")
        self._before: Callable[[], _Batch | None] = lambda: None
        """The batch begun last, as long as somebody waits for it."""

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Prepare frames, and have them run at once if others are waited for; see `Engine.begin`."""
        batch, before = _Batch(super().begin(frames)), self._before()
        self._before = weakref.ref(batch)
        if before is not None:
            before.hand_over(self._runner)
            batch.hand_over(self._runner)
        return batch

    def close(self) -> None:
        """Wait for what is under way, then end the thread."""
        self._runner.shutdown()

    def _infer(self, inputs: Image) -> Outputs:
        try:
            return cast(Outputs, tuple(self._session.run(["scores", "masks"], {"frames": inputs})))
        except Exception as error:  # as above
            raise EngineError(f"{self.description}: inference failed ({_first_line(error)})") from None


def open_onnxruntime(bundle: Bundle, threads: int | None, _batch: int) -> OnnxruntimeEngine:
    """Open the engine; it takes batches of any size."""
    return OnnxruntimeEngine(bundle, threads)


class _Batch:
    """A batch that is run by whoever asks for its outputs, unless it is handed over before."""

    def __init__(self, run: Pending) -> None:
        self._run, self._started = run, False

    def hand_over(self, runner: Executor) -> None:
        """Let another thread run it, unless it has been started."""
        if not self._started:
            self._run, self._started = runner.submit(self._run).result, True

    def __call__(self) -> Outputs:
        """Wait for the outputs."""
        self._started = True
        return self._run()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
