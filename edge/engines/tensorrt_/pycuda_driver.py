"""Checked CUDA calls of one device through pycuda; the only file that imports it."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from bundle import Image
from edge.engines.tensorrt_.cuda_graphs import GraphCalls
from edge.engines.tensorrt_.driver import Event, Graph, Kernel, Memory, Stream
from edge.errors import DeviceError, EngineMissing

DRIVER_LIBRARY = "libcuda.so.1"
NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING of cuda.h: the stream does not wait for the default stream."""

ADVICE = {
    "MemoryError": "free some of the GPU's memory, which a Jetson shares with all programs, or make the batch smaller",
    "LaunchError": "restart the station; if it comes again, look for Xid or nvgpu messages in dmesg",
}


def ask_driver() -> None:
    """Raise EngineMissing unless a CUDA driver with a device is available.

    Through ctypes, because TensorRT's runtime and pycuda can abort the process without a driver.
    """
    try:
        result = ctypes.CDLL(DRIVER_LIBRARY).cuInit(0)
    except OSError as error:
        raise EngineMissing(
            f"CUDA: found no driver ({error}), expected an NVIDIA GPU with its driver; run this on the Jetson or "
            "workstation at the line, or set the line's engine to onnxruntime"
        ) from None
    if result:
        raise EngineMissing(
            f"CUDA: cuInit returned error {result}, expected 0; no GPU responds: see nvidia-smi (Jetson: tegrastats), "
            "and whether this user may open /dev/nvidia*"
        )


class CudaDriver:
    """The first CUDA device with its primary context; see `Driver`."""

    def __init__(self, number: int = 0) -> None:
        try:
            import pycuda.driver
        except ImportError as error:
            raise EngineMissing(
                f"pycuda: cannot be imported ({error}), expected pycuda for this Python; pip install pycuda, with "
                "/usr/local/cuda/bin first on the PATH"
            ) from None
        self._cuda: Any = pycuda.driver
        self.name = f"CUDA device {number}"
        with self._checked("open it"):
            self._cuda.init()
            self._device = self._cuda.Device(number)
            self.name = str(self._device.name())
            self.compute_capability = "{}.{}".format(*self._device.compute_capability())
            self._context = self._device.retain_primary_context()
        self._graphs = GraphCalls(self.name, ctypes.CDLL(DRIVER_LIBRARY))

    @contextmanager
    def current(self) -> Iterator[None]:
        """Push the context, which TensorRT shares; pop it at the end."""
        with self._checked("make its context current"):
            self._context.push()
        try:
            yield
        finally:
            with self._checked("let its context go"):
                self._cuda.Context.pop()

    def make_stream(self) -> Stream:
        """Create a non-blocking stream."""
        with self._checked("make a stream"):
            return cast(Stream, self._cuda.Stream(NON_BLOCKING))

    def make_event(self) -> Event:
        """Create an event without timing, which is cheaper."""
        with self._checked("make an event"):
            return self._cuda.Event(self._cuda.event_flags.DISABLE_TIMING)

    def allocate(self, nbytes: int) -> Memory:
        """Allocate device memory."""
        with self._checked(f"allocate {nbytes} bytes"):
            return cast(Memory, self._cuda.mem_alloc(nbytes))

    def free(self, memory: Memory) -> None:
        """Free device memory."""
        with self._checked("free memory"):
            cast(Any, memory).free()

    def allocate_pinned(self, nbytes: int) -> Image:
        """Allocate page-locked host memory."""
        with self._checked(f"allocate {nbytes} bytes of page-locked memory"):
            return cast(Image, self._cuda.pagelocked_empty(nbytes, np.uint8))

    def free_pinned(self, pinned: Image) -> None:
        """Free page-locked memory, whose owner is the array's base."""
        with self._checked("free page-locked memory"):
            cast(Any, pinned).base.free()

    def load_kernel(self, cubin: bytes, name: str, signature: str) -> Kernel:
        """Load a kernel; it keeps its module loaded."""
        with self._checked(f"load the kernel {name}"):
            kernel = self._cuda.module_from_buffer(cubin).get_function(name)
            kernel.prepare(signature)
            return kernel

    def upload(self, memory: Memory, pinned: Image, stream: Stream) -> None:
        """Call cuMemcpyHtoDAsync."""
        with self._checked("copy to it"):
            self._cuda.memcpy_htod_async(int(memory), pinned, stream)

    def download(self, pinned: Image, memory: Memory, stream: Stream) -> None:
        """Call cuMemcpyDtoHAsync."""
        with self._checked("copy from it"):
            self._cuda.memcpy_dtoh_async(pinned, int(memory), stream)

    def launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: tuple[int, ...],
        stream: Stream,
    ) -> None:
        """Call cuLaunchKernel."""
        with self._checked("launch a kernel"):
            kernel.prepared_async_call(grid, block, stream, *arguments)

    def record(self, event: Event, stream: Stream) -> None:
        """Call cuEventRecord."""
        with self._checked("record an event"):
            event.record(stream)

    def wait_for(self, event: Event, stream: Stream) -> None:
        """Call cuStreamWaitEvent."""
        with self._checked("wait for an event"):
            cast(Any, stream).wait_for_event(event)

    def synchronize(self, event: Event) -> None:
        """Call cuEventSynchronize, without the GIL."""
        with self._checked("finish"):
            event.synchronize()

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Capture from cuStreamBeginCapture to cuGraphInstantiate."""
        return self._graphs.capture(stream.handle, work)

    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        """Call cuGraphLaunch."""
        self._graphs.launch(graph, stream.handle)

    def free_graph(self, graph: Graph) -> None:
        """Free the graph."""
        self._graphs.free(graph)

    def free_memory(self) -> int:
        """Call cuMemGetInfo."""
        with self._checked("ask for its free memory"):
            return int(self._cuda.mem_get_info()[0])

    def attribute(self, name: str) -> int:
        """Call cuDeviceGetAttribute, for example for MULTIPROCESSOR_COUNT."""
        with self._checked(f"tell its {name}"):
            return int(self._device.get_attribute(getattr(self._cuda.device_attribute, name)))

    def close(self) -> None:
        """Release the primary context; pycuda releases it only in a thread where it is current."""
        with self._checked("release its context"):
            self._context.push()
            self._context.detach()
        ctypes.CDLL(DRIVER_LIBRARY).cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))  # pycuda leaves it on the stack

    @contextmanager
    def _checked(self, what: str) -> Iterator[None]:
        """Convert pycuda's errors to DeviceError."""
        try:
            yield
        except self._cuda.Error as error:
            advice = ADVICE.get(type(error).__name__, "restart the station; if it comes again, check driver and GPU")
            raise DeviceError(f"{self.name}: could not {what} ({error}); {advice}") from None
