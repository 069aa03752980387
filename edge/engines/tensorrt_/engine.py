"""The TensorRT engine: two slots alternate, so that the copies of one batch overlap the compute of the other."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

import numpy as np

from bundle import Image, Manifest
from edge.engines.engine import Engine, Outputs, Pending
from edge.engines.tensorrt_.driver import Driver
from edge.engines.tensorrt_.preprocess_kernel import NAME, SIGNATURE
from edge.engines.tensorrt_.slot import Context, Slot
from edge.errors import CaptureRefused, DeviceError, EngineError

SLOTS = 2


class Network(Protocol):
    """A loaded plan."""

    description: str
    batch: int

    def make_context(self) -> Context:
        """Create an execution context with its own activations; contexts run concurrently."""

    def close(self) -> None:
        """Free the plan, after its contexts."""


class StreamEngine(Engine):
    """Runs a network on a CUDA device, batches in order. After a DeviceError every call fails.

    With tiles a batch of tiles takes one of the device's two slots, and the engine one batch of frames at a time.
    driver: owned and closed by the engine. load: loads the plan, also closed by the engine.
    """

    def __init__(self, manifest: Manifest, driver: Driver, load: Callable[[], Network], cubin: bytes) -> None:
        super().__init__(manifest, driver.name)
        self.slots = 1 if manifest.input.tiles else SLOTS
        self._driver = driver
        self._down: str | None = None
        """The first DeviceError; None while the engine works."""
        self._idle: deque[Slot] = deque()
        self._last: Slot | None = None
        self._held = ExitStack()
        self._held.callback(driver.close)
        try:
            self._open(load, cubin)
        except BaseException:
            self.close()
            raise

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Start one batch of frames, preprocessed on the device, or on the host with tiles. See `Engine.begin`."""
        if self.manifest.input.tiles:
            return super().begin(frames)
        if not 1 <= len(frames) <= self._batch:
            raise EngineError(
                f"{self.description}: found {len(frames)} frames at a time, expected 1 to {self._batch}; "
                "open the engine with as many frames per batch as the part has cameras"
            )
        return self._begin(lambda slot: slot.send_frames(frames), len(frames))

    def prepare(self, frame: Image) -> Image:
        """Return the kernel's output for a frame, uint8 [C, H, W], to compare it with `preprocess`."""
        with self._on_device():
            slot = self._free_slot()
            slot.send_frames([frame])
            return np.array(slot.fetch_inputs(1)[0])

    def capture(self) -> None:
        """Launch the network as a CUDA graph from now on. Raises CaptureRefused; then the launch mode is unchanged.

        Not allowed while a batch is running.
        """
        with self._on_device():
            try:
                for slot in self._all_idle():
                    slot.capture()
            except CaptureRefused:
                self._release()
                raise

    def release(self) -> None:
        """Launch the network kernel by kernel again; not allowed while a batch is running."""
        with self._on_device():
            self._release()

    def free_memory(self) -> int:
        """Return the free bytes of the device; on a Jetson, of the whole machine."""
        with self._on_device():
            return self._driver.free_memory()

    def close(self) -> None:
        """Wait for the running batches, then free everything."""
        self._idle.clear()
        self._last = None
        try:
            self._held.close()
        except DeviceError:
            if self._down is None:
                raise

    def _infer(self, inputs: Image) -> Outputs:
        pieces = self._infer_batches(
            inputs[start : start + self._batch] for start in range(0, len(inputs), self._batch)
        )
        scores, masks = zip(*pieces, strict=True)
        return np.concatenate(scores), np.concatenate(masks)

    def _infer_batches(self, batches: Iterable[Image]) -> Iterator[Outputs]:
        under_way: deque[Pending] = deque()
        for inputs in batches:
            if len(under_way) == SLOTS:
                yield under_way.popleft()()
            under_way.append(self._begin_inputs(inputs))
        yield from (pending() for pending in under_way)

    def _begin_inputs(self, inputs: Image) -> Pending:
        return self._begin(lambda slot: slot.send_inputs(inputs), len(inputs))

    def _begin(self, send: Callable[[Slot], None], count: int) -> Pending:
        with self._on_device():
            slot = self._free_slot()
            send(slot)
            slot.run(after=None if self._last is None else self._last.computed)
        self._last = self._idle.popleft()
        return lambda: self._finish(slot, count)

    def _free_slot(self) -> Slot:
        if not self._idle:
            raise EngineError(f"{self.description}: found {SLOTS} batches under way, expected fewer; our fault")
        return self._idle[0]

    def _release(self) -> None:
        for slot in self._all_idle():
            slot.release()

    def _all_idle(self) -> list[Slot]:
        if len(self._idle) != SLOTS:
            raise EngineError(f"{self.description}: found batches under way, expected none; our fault")
        return list(self._idle)

    def _finish(self, slot: Slot, count: int) -> Outputs:
        try:
            with self._on_device():
                return slot.finish(count)
        finally:
            self._idle.append(slot)

    def _open(self, load: Callable[[], Network], cubin: bytes) -> None:
        with self._driver.current():
            network = load()
            self._batch = network.batch
            self.description = f"{network.description} on {self._driver.name}, {self.manifest.precision}"
            self._held.callback(self._within_context, network.close)
            kernel = self._driver.load_kernel(cubin, NAME, SIGNATURE)
            for _ in range(SLOTS):
                slot = Slot(self._driver, network.make_context(), kernel, self.manifest, self._batch)
                self._held.callback(self._within_context, slot.free)
                self._idle.append(slot)

    def _within_context(self, free: Callable[[], None]) -> None:
        with self._driver.current():
            free()

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        if self._down is not None:
            raise DeviceError(f"the engine is down since: {self._down}")
        try:
            with self._driver.current():
                yield
        except DeviceError as error:
            self._down = str(error)
            raise
