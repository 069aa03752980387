"""The onnxruntime engine on the CPU execution provider."""

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
    """Runs `model.onnx` unchanged on the CPU.

    Overlapping batches are run in order by a worker thread, while the caller prepares the next batch and decides on the
    one before. A single batch is run by the thread that waits for it, because the hand-over takes 0.2 ms.
    """

    slots = 2

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        cv2.setNumThreads(1)  # OpenCV's threads spin on the cores that onnxruntime needs: up to 1 ms per frame
        settings = ort.SessionOptions()
        settings.log_severity_level = 3  # errors only; warnings would be printed on the operator's terminal
        if threads is not None:
            settings.intra_op_num_threads = threads
        model = bundle.read_model()
        try:
            self._session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no public base class
            raise EngineError(f"{bundle.model}: onnxruntime cannot load it ({_first_line(error)})") from None
        super().__init__(bundle.manifest, f"onnxruntime {ort.__version__} on the CPU, {bundle.manifest.precision}")
        self._runner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onnxruntime")
        self._before: Callable[[], _Batch | None] = lambda: None
        """The last started batch, if its caller still holds it."""

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Preprocess frames; run them at once if another batch is pending. See `Engine.begin`."""
        batch, before = _Batch(super().begin(frames)), self._before()
        self._before = weakref.ref(batch)
        if before is not None:
            before.hand_over(self._runner)
            batch.hand_over(self._runner)
        return batch

    def close(self) -> None:
        """Wait for the running batches, then end the worker thread."""
        self._runner.shutdown()

    def _infer(self, inputs: Image) -> Outputs:
        try:
            return cast(Outputs, tuple(self._session.run(["scores", "masks"], {"frames": inputs})))
        except Exception as error:  # as above
            raise EngineError(f"{self.description}: inference failed ({_first_line(error)})") from None


def open_onnxruntime(bundle: Bundle, threads: int | None, _batch: int) -> OnnxruntimeEngine:
    """Open the engine; the batch size is not limited."""
    return OnnxruntimeEngine(bundle, threads)


class _Batch:
    """A batch that runs in the thread that waits for it, unless it is handed over to the worker before."""

    def __init__(self, run: Pending) -> None:
        self._run, self._started = run, False

    def hand_over(self, runner: Executor) -> None:
        """Run the batch in the worker thread, unless it has started."""
        if not self._started:
            self._run, self._started = runner.submit(self._run).result, True

    def __call__(self) -> Outputs:
        """Wait for the outputs."""
        self._started = True
        return self._run()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
