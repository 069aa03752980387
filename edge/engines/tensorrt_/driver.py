"""The CUDA calls that the engine makes, as a contract; implemented by `pycuda_driver`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, SupportsInt

from bundle import Image

Memory = SupportsInt
"""Device memory; as an int, its address."""
Event = Any
"""A point on a stream."""
Kernel = Any
"""A loaded kernel."""
Graph = Any
"""Captured work that is launched at once."""


class Stream(Protocol):
    """A queue of work on the device, in order."""

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
    """Such as 8.7."""

    def current(self) -> AbstractContextManager[None]:
        """Make the device's context that of the calling thread."""

    def make_stream(self) -> Stream:
        """Make a stream that does not wait for the default stream."""

    def make_event(self) -> Event:
        """Make an event; one that was never recorded counts as reached."""

    def allocate(self, nbytes: int) -> Memory:
        """Allocate device memory."""

    def free(self, memory: Memory) -> None:
        """Free device memory, once what uses it is done."""

    def allocate_pinned(self, nbytes: int) -> Image:
        """Allocate page-locked host memory, uint8 [nbytes], which alone is copied while the host goes on."""

    def free_pinned(self, pinned: Image) -> None:
        """Free page-locked memory; no array may look into it any more."""

    def load_kernel(self, cubin: bytes, name: str, signature: str) -> Kernel:
        """Load a kernel from a compiled module; signature: its arguments, as the struct module writes them."""

    def upload(self, memory: Memory, pinned: Image, stream: Stream) -> None:
        """Queue a copy of page-locked memory to the device."""

    def download(self, pinned: Image, memory: Memory, stream: Stream) -> None:
        """Queue a copy from the device to page-locked memory."""

    def launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: tuple[int, ...],
        stream: Stream,
    ) -> None:
        """Queue a kernel."""

    def record(self, event: Event, stream: Stream) -> None:
        """Queue an event, reached once everything before it on the stream is done."""

    def wait_for(self, event: Event, stream: Stream) -> None:
        """Let what comes after on the stream wait for an event of another one."""

    def synchronize(self, event: Event) -> None:
        """Block until the event is reached, with errors of anything queued before it."""

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Note what `work` queues on a stream, none of which is done now; it may not wait for anything.

        Raises CaptureRefused if it cannot be captured, with the stream as before.
        """

    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        """Queue everything that was captured, with the addresses of then."""

    def free_graph(self, graph: Graph) -> None:
        """Free captured work, once its last launch is done."""

    def free_memory(self) -> int:
        """Bytes of device memory that nobody has allocated."""

    def close(self) -> None:
        """Give the context back; streams, events and memory are freed already."""
