"""Runs the engine through the real pycuda on `fake_cuda.cpp`; a process of its own, since libcuda is loaded once.

Says `fine` at the end; an assertion says what is wrong.
"""

import ctypes
import gc
import threading

import numpy as np
import pytest

from bundle import InputSpec, Manifest, preprocess
from edge.engines.tensorrt_.engine import StreamEngine
from edge.engines.tensorrt_.pycuda_driver import CudaDriver, ask_driver
from edge.errors import CaptureRefused, DeviceError
from tests.conftest import HEIGHT, WIDTH, tiny_manifest, tiny_outputs

LIBCUDA = ctypes.CDLL("libcuda.so.1")
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
OUT_OF_MEMORY, LAUNCH_FAILED = 2, 719


class HostNetwork:
    """The tiny network on memory that is the host's."""

    description, batch = "numpy", 2

    def __init__(self, manifest: Manifest) -> None:
        self.spec = manifest.input
        self.address: dict[str, int] = {}
        self.runs = 0
        self._on_stream = HOST_FUNCTION(self._run)

    def make_context(self) -> "HostNetwork":
        return HostNetwork(tiny_manifest(input=self.spec))

    def bind(self, tensor: str, memory: object) -> None:
        self.address[tensor] = int(memory)

    def enqueue(self, stream: object) -> None:
        failed = LIBCUDA.cuLaunchHostFunc(ctypes.c_void_p(stream.handle), self._on_stream, None)
        if failed:
            raise DeviceError("numpy: could not queue the network")

    def _run(self, data: object) -> None:
        self.runs += 1
        nbytes = self.batch * HEIGHT * WIDTH
        inputs = np.frombuffer(ctypes.string_at(self.address["frames"], nbytes), np.uint8)
        outputs = tiny_outputs(inputs.reshape(self.batch, 1, HEIGHT, WIDTH))
        for name, tensor in zip(("scores", "masks"), outputs, strict=True):
            ctypes.memmove(self.address[name], tensor.tobytes(), tensor.nbytes)

    def close(self) -> None:
        """Nothing is held."""


def opened() -> StreamEngine:
    manifest = tiny_manifest()
    return StreamEngine(manifest, CudaDriver(), lambda: HostNetwork(manifest), b"\x7fELF")


def answers_as_preprocess() -> None:
    frames = [np.random.default_rng(1).integers(0, 256, (61, 47, 3), dtype=np.uint8) for _ in range(2)]
    frames[1] = frames[1][..., ::-1]
    engine = opened()
    assert engine.description == "numpy on Fake, fp32", engine.description
    scores, masks = engine.begin(frames)()
    assert engine.free_memory() == 1 << 20
    spec = InputSpec(height=HEIGHT, width=WIDTH, channels=1)
    expected = tiny_outputs(np.stack([preprocess(frame, spec) for frame in frames]))
    assert np.abs(scores - expected[0]).max() < 1 / 255
    assert np.abs(masks.astype(int) - expected[1]).max() <= 1
    assert np.abs(engine.prepare(frames[1]).astype(int) - preprocess(frames[1], spec)).max() <= 1
    engine.close()


def tells_its_attributes() -> None:
    device = CudaDriver()
    assert device.attribute("MULTIPROCESSOR_COUNT") == 1016
    device.close()


def runs_and_closes_in_another_thread() -> None:
    engine = opened()
    seen: list[object] = []

    def work() -> None:
        seen.append(engine.begin([np.zeros((9, 9), np.uint8)])()[0].shape)
        engine.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(1, 2)]


def failures_say_what_to_do() -> None:
    for call, code, said in (
        ("cuMemAlloc_v2", OUT_OF_MEMORY, "free some of the GPU's memory"),
        ("cuLaunchKernel", LAUNCH_FAILED, "look for Xid"),
        ("cuEventSynchronize", LAUNCH_FAILED, "look for Xid"),
        ("cuMemcpyHtoDAsync_v2", 700, "restart the station"),
    ):
        engine = opened()
        LIBCUDA.fake_fail(call.encode(), code)
        with pytest.raises(DeviceError, match=said) as caught:
            engine.begin([np.zeros((90, 90), np.uint8)])()
        assert "\n" not in str(caught.value)
        del caught  # its traceback holds the frames of the failed call
        LIBCUDA.fake_fail(b"", 0)
        engine.close()


def graphs_answer_the_same() -> None:
    engine = opened()
    frames = [np.random.default_rng(2).integers(0, 256, (50, 40), dtype=np.uint8) for _ in range(2)]
    plain = engine.begin(frames)()
    engine.capture()
    for _ in range(3):
        scores, masks = engine.begin(frames)()
        assert np.array_equal(scores, plain[0])
        assert np.array_equal(masks, plain[1])
    engine.release()
    assert np.array_equal(engine.begin(frames)()[0], plain[0])
    engine.capture()
    engine.close()


def refused_captures_leave_the_engine_running() -> None:
    frame = np.zeros((90, 90), np.uint8)
    for call, code, error in (
        ("cuStreamBeginCapture_v2", 900, CaptureRefused),
        ("cuGraphInstantiateWithFlags", 801, CaptureRefused),
        ("cuGraphInstantiateWithFlags", OUT_OF_MEMORY, DeviceError),
        ("cuStreamBeginCapture_v2", LAUNCH_FAILED, DeviceError),
    ):
        engine = opened()
        LIBCUDA.fake_fail(call.encode(), code)
        with pytest.raises(error, match=f"error {code}, as asked") as caught:
            engine.capture()
        assert "\n" not in str(caught.value)
        del caught
        LIBCUDA.fake_fail(b"", 0)
        if error is CaptureRefused:
            assert engine.begin([frame])()[0].shape == (1, 2)
        engine.close()


def a_network_that_cannot_be_captured_leaves_the_capture() -> None:
    class Stubborn(HostNetwork):
        def make_context(self) -> "Stubborn":
            return Stubborn(tiny_manifest(input=self.spec))

        def enqueue(self, stream: object) -> None:
            self.runs += 1
            if self.runs == 2:  # the one within the capture
                raise DeviceError("numpy: could not queue the network")

    manifest = tiny_manifest()
    engine = StreamEngine(manifest, CudaDriver(), lambda: Stubborn(manifest), b"\x7fELF")
    with pytest.raises(CaptureRefused, match="could not queue the network"):
        engine.capture()
    assert engine.begin([np.zeros((9, 9), np.uint8)])()[0].shape == (1, 2)
    engine.close()


def a_graph_that_fails_puts_the_engine_down() -> None:
    engine = opened()
    engine.capture()
    LIBCUDA.fake_fail(b"cuGraphLaunch", LAUNCH_FAILED)
    with pytest.raises(DeviceError, match="could not launch a graph") as caught:
        engine.begin([np.zeros((9, 9), np.uint8)])()
    del caught
    LIBCUDA.fake_fail(b"", 0)
    engine.close()


def leaves_nothing() -> None:
    gc.collect()
    live = LIBCUDA.fake_live()
    assert live == 0, f"{live % 1000} things alive, {live // 1000 % 1000} pushes, {live // 1000000} contexts"


ask_driver()
for check in (
    answers_as_preprocess,
    tells_its_attributes,
    runs_and_closes_in_another_thread,
    failures_say_what_to_do,
    graphs_answer_the_same,
    refused_captures_leave_the_engine_running,
    a_network_that_cannot_be_captured_leaves_the_capture,
    a_graph_that_fails_puts_the_engine_down,
):
    check()
    leaves_nothing()
LIBCUDA.fake_fail(b"cuDevicePrimaryCtxRetain", OUT_OF_MEMORY)
with pytest.raises(DeviceError, match="could not open it"):
    CudaDriver()
print("fine")
