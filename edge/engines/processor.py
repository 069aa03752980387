"""Overlapping batches of an engine that runs on the processor."""

import platform
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import cv2

from bundle import Image, Manifest
from edge.engines.engine import Engine, Outputs, Pending


class ProcessorEngine(Engine):
    """An engine whose `_infer` computes in the thread that calls it.

    Overlapping batches are run in order by a worker thread, while the caller prepares the next batch and decides on the
    one before. A single batch is run by the thread that waits for it, because the hand-over takes 0.2 ms.
    """

    slots = 2

    def __init__(self, manifest: Manifest, description: str) -> None:
        super().__init__(manifest, description)
        cv2.setNumThreads(1)  # OpenCV's threads spin on the cores that the network needs: up to 1 ms per frame
        self._runner = ThreadPoolExecutor(max_workers=1, thread_name_prefix=description.split()[0])
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


def first_line(error: Exception) -> str:
    """First line of an error of a vendor's library, which may print its whole graph.

    OpenVINO puts lines in front with the place in its sources, "Exception from src/...".
    """
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from ")]
    return lines[0][:200] if lines else type(error).__name__


def processor_name(path: Path = Path("/proc/cpuinfo")) -> str:
    """Name, model and instruction sets of the first processor."""
    wanted = ("model name", "cpu family", "model", "stepping", "flags", "CPU implementer", "CPU part", "Features")
    first = path.read_text(encoding="ascii", errors="replace").split("\n\n")[0] if path.exists() else ""
    pairs = (line.partition(":")[::2] for line in first.splitlines())
    return "; ".join([platform.machine(), *(value.strip() for name, value in pairs if name.strip() in wanted)])
