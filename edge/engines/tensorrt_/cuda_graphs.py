"""CUDA graphs through the driver library, because pycuda has no calls for them."""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack

from edge.errors import CaptureRefused, DeviceError

THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL of cuda.h: calls of other threads cannot invalidate the capture."""

REFUSALS = frozenset({801, *range(900, 909)})
"""CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_STREAM_CAPTURE_*: the work cannot be captured; the device is intact."""


class GraphCalls:
    """Checked calls for CUDA graphs; see `Driver.capture`."""

    def __init__(self, device: str, library: ctypes.CDLL) -> None:
        self._device, self._library = device, library

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Capture the work that `work` enqueues on a stream (CUstream); returns the CUgraphExec."""
        on, captured = ctypes.c_void_p(stream), ctypes.c_void_p()
        self._check("begin a capture", self._call("cuStreamBeginCapture_v2", on, THREAD_LOCAL))
        with ExitStack() as held:
            held.callback(self._destroy, captured)
            try:
                work()
            except DeviceError as error:
                raise CaptureRefused(str(error)) from None
            finally:  # the stream must leave capture mode after any error
                ended = self._call("cuStreamEndCapture", on, ctypes.byref(captured))
            self._check("end a capture", ended)
            made = ctypes.c_void_p()
            instantiated = self._call("cuGraphInstantiateWithFlags", ctypes.byref(made), captured, ctypes.c_ulonglong())
            self._check("make a graph", instantiated)
            return int(made.value or 0)

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue the captured work."""
        launched = self._call("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))
        self._check("launch a graph", launched)

    def free(self, graph: int) -> None:
        """Free a CUgraphExec."""
        self._check("free a graph", self._call("cuGraphExecDestroy", ctypes.c_void_p(graph)))

    def _destroy(self, captured: ctypes.c_void_p) -> None:
        """Free the CUgraph, which is not needed after the CUgraphExec is instantiated."""
        if captured.value:
            self._check("free what was captured", self._call("cuGraphDestroy", captured))

    def _call(self, name: str, *arguments: object) -> int:
        function = getattr(self._library, name, None)
        if function is None:
            raise CaptureRefused(f"{self._device}: found no {name} in the driver, expected that of CUDA 11.4 or later")
        return int(function(*arguments))

    def _check(self, what: str, result: int) -> None:
        """Raise CaptureRefused or DeviceError by the result code of a call."""
        if not result:
            return
        said = ctypes.c_char_p()
        self._library.cuGetErrorString(result, ctypes.byref(said))
        reason = f"{self._device}: could not {what} (error {result}, {(said.value or b'unknown').decode()})"
        if result in REFUSALS:
            raise CaptureRefused(reason)
        raise DeviceError(f"{reason}; restart the station; if it comes again, check driver and GPU")
