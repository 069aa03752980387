"""A slot: the stream and the buffers of one batch on the device."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bundle import Image, Manifest, check_frame, cropped
from edge.engines.engine import Outputs
from edge.engines.tensorrt_.driver import Driver, Event, Graph, Kernel, Memory, Stream
from edge.engines.tensorrt_.preprocess_kernel import BLOCK

Made = TypeVar("Made")


class Context(Protocol):
    """An execution context, used on one stream at a time; its calls raise DeviceError."""

    def bind(self, tensor: str, memory: Memory) -> None:
        """Set the device address of a tensor; once, before the first run."""

    def enqueue(self, stream: Stream) -> None:
        """Enqueue one run."""


class Slot:
    """Buffers of one batch, allocated once: upload, kernel, network and download in order on one stream.

    batch: frames per run; fewer may be sent, the outputs of the others are undefined.
    """

    def __init__(self, driver: Driver, context: Context, kernel: Kernel, manifest: Manifest, batch: int) -> None:
        spec, cells, classes = manifest.input.network, manifest.network_masks, len(manifest.classes)
        self._driver, self._context, self._kernel, self._spec = driver, context, kernel, spec
        self._shape = batch, spec.channels, spec.height, spec.width
        self._stream = driver.make_stream()
        self.computed = driver.make_event()
        """Reached when the network has finished this slot's batch."""
        self._done = driver.make_event()
        self._graph: Graph | None = None
        """The network's launches as a CUDA graph; None if not captured."""
        self._frame_nbytes = spec.channels * spec.height * spec.width
        self._staging: Image = np.empty(0, np.uint8)
        self._raw: Memory = 0
        self._room = ExitStack()
        with ExitStack() as held:
            held.callback(self._room.close)
            self._input = _held(held, driver.allocate, driver.free, batch * self._frame_nbytes)
            self._scores = _Output(held, driver, (batch, classes), np.float32)
            self._masks = _Output(held, driver, (batch, classes, cells.height, cells.width), np.uint8)
            self._reserve(batch * self._frame_nbytes)
            for name, memory in (
                ("frames", self._input),
                ("scores", self._scores.memory),
                ("masks", self._masks.memory),
            ):
                context.bind(name, memory)
            held.callback(self.release)
            self._held = held.pop_all()

    def send_frames(self, frames: Sequence[Image]) -> None:
        """Enqueue the upload and the preprocessing kernel of camera frames.

        Raises FrameError as `preprocess`; then nothing is enqueued.
        """
        for frame in frames:
            check_frame(frame)
        parts = [_as_stored(cropped(frame, self._spec.crop)) for frame in frames]
        starts = np.cumsum([0, *(part.size for part, _ in parts)]).tolist()
        self._reserve(starts[-1])
        for (part, _), start in zip(parts, starts, strict=False):
            np.copyto(self._staging[start : start + part.size].reshape(part.shape), part)
        self._driver.upload(self._raw, self._staging[: starts[-1]], self._stream)
        for number, (part, red) in enumerate(parts):
            self._prepare(part.shape, int(self._raw) + starts[number], red, number)

    def send_inputs(self, inputs: Image) -> None:
        """Enqueue the upload of preprocessed frames, uint8 [N, C, H, W]."""
        self._staging[: inputs.size].reshape(inputs.shape)[:] = inputs
        self._driver.upload(self._input, self._staging[: inputs.size], self._stream)

    def run(self, after: Event | None) -> None:
        """Enqueue the network after the event `after`, then the download of its outputs."""
        if after is not None:
            self._driver.wait_for(after, self._stream)
        if self._graph is None:
            self._context.enqueue(self._stream)
        else:
            self._driver.launch_graph(self._graph, self._stream)
        self._driver.record(self.computed, self._stream)
        for output in (self._scores, self._masks):
            self._driver.download(output.pinned, output.memory, self._stream)
        self._driver.record(self._done, self._stream)

    def capture(self) -> None:
        """Launch the network as one CUDA graph from now on. Raises CaptureRefused.

        Only the network is captured: it has most of the launches and does not depend on the frame size, and the wait
        for the other slot cannot be captured, because pycuda gives no handle of an event.
        """
        self.release()
        # TensorRT's first run makes allocations that cannot be captured; a black frame, so that no earlier output is
        # left that could be taken for the graph's
        self.send_inputs(np.zeros(self._shape, np.uint8))
        self.run(after=None)
        self._driver.synchronize(self._done)
        self._graph = self._driver.capture(self._stream, lambda: self._context.enqueue(self._stream))

    def release(self) -> None:
        """Launch the network kernel by kernel again."""
        graph, self._graph = self._graph, None
        if graph is not None:
            self._driver.free_graph(graph)

    def fetch_inputs(self, count: int) -> Image:
        """Wait for the preprocessed input of the first `count` frames, uint8 [count, C, H, W]; for checks."""
        spec = self._spec
        fetched = self._staging[: count * self._frame_nbytes]
        self._driver.download(fetched, self._input, self._stream)
        self._driver.record(self._done, self._stream)
        self._driver.synchronize(self._done)
        return np.array(fetched).reshape(count, spec.channels, spec.height, spec.width)

    def finish(self, count: int) -> Outputs:
        """Wait for the batch; returns copies of the outputs of its first `count` frames."""
        self._driver.synchronize(self._done)
        return self._scores.copy(count), self._masks.copy(count)

    def free(self) -> None:
        """Wait for the running batch, then free everything."""
        with self._held:
            self._driver.synchronize(self._done)
        del self._context, self._kernel, self._stream, self._done, self.computed  # freed by their own destructors

    def _prepare(self, shape: tuple[int, ...], address: int, red: int, number: int) -> None:
        """Enqueue the kernel on one frame of the batch."""
        spec, samples = self._spec, shape[2] if len(shape) == 3 else 1
        grid = -(-spec.width // BLOCK[0]), -(-spec.height // BLOCK[1]), spec.channels
        source = address, shape[0], shape[1], shape[1] * samples, samples, red
        made = int(self._input) + number * self._frame_nbytes, spec.height, spec.width
        self._driver.launch(self._kernel, grid, BLOCK, source + made, self._stream)

    def _reserve(self, nbytes: int) -> None:
        """Allocate the upload buffer for the frames of one batch; reallocates only for a larger frame."""
        if self._staging.size >= nbytes:
            return
        self._room.close()
        self._staging = _held(self._room, self._driver.allocate_pinned, self._driver.free_pinned, nbytes)
        self._raw = _held(self._room, self._driver.allocate, self._driver.free, nbytes)


class _Output:
    """Buffers of one output tensor, on the device and in page-locked memory."""

    def __init__(self, held: ExitStack, driver: Driver, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        self.memory = _held(held, driver.allocate, driver.free, nbytes)
        self.pinned = _held(held, driver.allocate_pinned, driver.free_pinned, nbytes)
        self._shape, self._dtype = shape, dtype

    def copy(self, count: int) -> NDArray[Any]:
        """Return the tensor of the first `count` frames."""
        tensor: NDArray[Any] = self.pinned.view(self._dtype).reshape(self._shape)
        return np.array(tensor[:count])


def _held(held: ExitStack, make: Callable[[int], Made], free: Callable[[Made], None], nbytes: int) -> Made:
    made = make(nbytes)
    held.callback(free, made)
    return made


def _as_stored(frame: Image) -> tuple[Image, int]:
    """Return the frame in byte order, with the index of red: 0, or 2 for a BGR view."""
    stored_as_bgr = frame.ndim == 3 and frame.strides[2] < 0
    return (frame[..., ::-1], 2) if stored_as_bgr else (frame, 0)
