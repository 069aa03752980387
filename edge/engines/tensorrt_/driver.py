"""The contract of the CUDA calls of the engine; implemented by `pycuda_driver`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, SupportsInt

from bundle import Image

Memory = SupportsInt
"""Device memory; as an int, its address."""
Event = Any
"""A CUDA event."""
Kernel = Any
"""A loaded kernel."""
Graph = Any
"""An instantiated CUDA graph."""


class Stream(Protocol):
    """A CUDA stream."""

    @property
    def handle(self) -> int:
        """The CUstream, for TensorRT."""


class Driver(Protocol):
    """One device with its context. Every call raises DeviceError if it fails.

    Everything but `current` and `close` is called within `current`, by one thread at a time.
    """

    name: str
    """The device's name."""
    compute_capability: str
    """For example 8.7."""

    def current(self) -> AbstractContextManager[None]:
        """Make the device's context current in the calling thread."""

    def make_stream(self) -> Stream:
        """Create a stream that does not synchronise with the default stream."""

    def make_event(self) -> Event:
        """Create an event; an event that was never recorded counts as reached."""

    def allocate(self, nbytes: int) -> Memory:
        """Allocate device memory."""

    def free(self, memory: Memory) -> None:
        """Free device memory after all work that uses it has finished."""

    def allocate_pinned(self, nbytes: int) -> Image:
        """Allocate page-locked host memory, uint8 [nbytes]; only this is copied asynchronously."""

    def free_pinned(self, pinned: Image) -> None:
        """Free page-locked memory; no array may refer to it."""

    def load_kernel(self, cubin: bytes, name: str, signature: str) -> Kernel:
        """Load a kernel from a compiled module; signature: its arguments in the format of the struct module."""

    def upload(self, memory: Memory, pinned: Image, stream: Stream) -> None:
        """Enqueue a copy from page-locked memory to the device."""

    def download(self, pinned: Image, memory: Memory, stream: Stream) -> None:
        """Enqueue a copy from the device to page-locked memory."""

    def launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: tuple[int, ...],
        stream: Stream,
    ) -> None:
        """Enqueue a kernel."""

    def record(self, event: Event, stream: Stream) -> None:
        """Enqueue an event, reached when all earlier work of the stream has finished."""

    def wait_for(self, event: Event, stream: Stream) -> None:
        """Make later work of the stream wait for an event of another stream."""

    def synchronize(self, event: Event) -> None:
        """Block until the event is reached; raises the errors of all work enqueued before it."""

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Capture the work that `work` enqueues on a stream, without running it; it must not synchronise.

        Raises CaptureRefused if it cannot be captured; the stream is unchanged.
        """

    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        """Enqueue the captured work, with the addresses at capture time."""

    def free_graph(self, graph: Graph) -> None:
        """Free a graph after its last launch has finished."""

    def free_memory(self) -> int:
        """Return the bytes of free device memory."""

    def close(self) -> None:
        """Release the context, after streams, events and memory."""
