"""Runs the engine through the real pycuda on `fake_cuda.cpp`; a process of its own, since libcuda is loaded once.

Says `fine` at the end; an assertion says what is wrong.
"""

import ctypes
import gc
import threading

import numpy as np
import pytest

from bundle import InputSpec, Manifest, preprocess
from edge.cuda import Cuda, ask_driver
from edge.engines.stream import StreamEngine
from edge.errors import DeviceError
from tests.conftest import HEIGHT, WIDTH, tiny_manifest, tiny_outputs

LIBCUDA = ctypes.CDLL("libcuda.so.1")
OUT_OF_MEMORY, LAUNCH_FAILED = 2, 719


class HostNetwork:
    """The tiny network on memory that is the host's."""

    description, batch = "numpy", 2

    def __init__(self, manifest: Manifest) -> None:
        self.spec = manifest.input
        self.address: dict[str, int] = {}

    def make_context(self) -> "HostNetwork":
        return HostNetwork(tiny_manifest(input=self.spec))

    def bind(self, tensor: str, memory: object) -> None:
        self.address[tensor] = int(memory)

    def enqueue(self, stream: object) -> None:
        assert stream.handle
        nbytes = self.batch * HEIGHT * WIDTH
        inputs = np.frombuffer(ctypes.string_at(self.address["frames"], nbytes), np.uint8)
        outputs = tiny_outputs(inputs.reshape(self.batch, 1, HEIGHT, WIDTH))
        for name, tensor in zip(("scores", "masks"), outputs, strict=True):
            ctypes.memmove(self.address[name], tensor.tobytes(), tensor.nbytes)

    def close(self) -> None:
        """Nothing is held."""


def opened() -> StreamEngine:
    manifest = tiny_manifest()
    return StreamEngine(manifest, Cuda(), lambda: HostNetwork(manifest), b"\x7fELF")


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


def leaves_nothing() -> None:
    gc.collect()
    live = LIBCUDA.fake_live()
    assert live == 0, f"{live % 1000} things alive, {live // 1000 % 1000} pushes, {live // 1000000} contexts"


ask_driver()
for check in (answers_as_preprocess, runs_and_closes_in_another_thread, failures_say_what_to_do):
    check()
    leaves_nothing()
LIBCUDA.fake_fail(b"cuDevicePrimaryCtxRetain", OUT_OF_MEMORY)
with pytest.raises(DeviceError, match="could not open it"):
    Cuda()
print("fine")
