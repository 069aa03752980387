"""A double of the CUDA device: as lazy as a real one may be, and it writes down what it is asked to do."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from bundle import Image, InputSpec, Manifest, preprocess
from edge.engines.tensorrt_.engine import StreamEngine
from edge.errors import CaptureRefused, DeviceError
from tests.conftest import tiny_manifest, tiny_outputs

GAP = 1 << 20
"""Addresses lie this far apart, so that a copy beyond the end of one buffer hits nothing."""


class LazyStream:
    """Queued work, none of it done until a caller waits for it."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.queued: deque[Callable[[], None]] = deque()
        self.done = 0
        self.captured: list[Callable[[], None]] | None = None
        """Work queued while the stream is in a capture."""

    def put(self, work: Callable[[], None]) -> None:
        """Queue work, or note it in a capture."""
        (self.queued if self.captured is None else self.captured).append(work)

    def run_to(self, position: int) -> None:
        """Do the first `position` pieces of work, as far as they are not done yet."""
        while self.done < position:
            self.done += 1
            self.queued.popleft()()


class LazyEvent:
    """A position on a stream; reached if it was never recorded."""

    def __init__(self) -> None:
        self.stream: LazyStream | None = None
        self.position = 0

    def reach(self) -> None:
        """Do what comes before it."""
        if self.stream is not None:
            self.stream.run_to(self.position)


class RecordingDriver:
    """Fulfils `Driver` in host memory; knows nothing of TensorRT.

    Work is done only in `synchronize`, so whatever is read too early is still 0xAA, and whatever is overwritten too
    early arrives wrong.
    """

    name, compute_capability = "recording device", "8.7"

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.memory: dict[int, Image] = {}
        self.pinned: dict[int, Image] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.refuses_capture = False
        self.closed = False
        self._fail: tuple[str, int] | None = None
        self._depth = 0
        self._streams = 0

    def names(self) -> list[str]:
        """The calls made so far, by name."""
        return [name for name, _ in self.calls]

    def fail_from(self, call: str, time: int = 1) -> None:
        """Let a call fail from now on, or from its `time`-th time from now."""
        self._fail = call, self.names().count(call) + time

    def view(self, address: int, nbytes: int) -> Image:
        """Device memory from an address on; fails on what is not allocated."""
        start = address - address % GAP
        assert start in self.memory, f"address {address:#x} is not allocated"
        found = self.memory[start][address - start : address - start + nbytes]
        assert len(found) == nbytes, f"{nbytes} bytes at {address:#x} reach beyond the end"
        return found

    @contextmanager
    def current(self) -> Iterator[None]:
        assert not self.closed
        self._depth += 1
        try:
            self._note("current")
            yield
        finally:
            self._depth -= 1

    def make_stream(self) -> LazyStream:
        self._note("make_stream")
        self._streams += 1
        return LazyStream(self._streams)

    def make_event(self) -> LazyEvent:
        self._note("make_event")
        return LazyEvent()

    def allocate(self, nbytes: int) -> int:
        self._note("allocate", nbytes)
        address = GAP * (1 + len(self.calls))
        self.memory[address] = np.full(nbytes, 0xAA, np.uint8)
        return address

    def free(self, memory: int) -> None:
        self._note("free")
        del self.memory[memory]

    def allocate_pinned(self, nbytes: int) -> Image:
        self._note("allocate_pinned", nbytes)
        made = np.full(nbytes, 0xAA, np.uint8)
        self.pinned[id(made)] = made
        return made

    def free_pinned(self, pinned: Image) -> None:
        self._note("free_pinned")
        del self.pinned[id(pinned)]

    def load_kernel(self, cubin: bytes, name: str, signature: str) -> str:
        self._note("load_kernel", name)
        return name

    def upload(self, memory: int, pinned: Image, stream: LazyStream) -> None:
        self._note("upload", stream.handle)
        stream.put(lambda: np.copyto(self.view(memory, pinned.size), pinned))

    def download(self, pinned: Image, memory: int, stream: LazyStream) -> None:
        self._note("download", stream.handle)
        stream.put(lambda: np.copyto(pinned, self.view(memory, pinned.size)))

    def launch(self, kernel: str, grid: object, block: object, arguments: tuple[int, ...], stream: LazyStream) -> None:
        self._note("launch", stream.handle)
        assert kernel == "preprocess"
        channels = grid[2]
        stream.put(lambda: self._preprocess(channels, *arguments))

    def record(self, event: LazyEvent, stream: LazyStream) -> None:
        self._note("record", stream.handle)
        event.stream, event.position = stream, stream.done + len(stream.queued)

    def wait_for(self, event: LazyEvent, stream: LazyStream) -> None:
        self._note("wait_for", stream.handle)
        captured = LazyEvent()
        captured.stream, captured.position = event.stream, event.position
        stream.put(captured.reach)

    def synchronize(self, event: LazyEvent) -> None:
        self._note("synchronize", event.stream.handle if event.stream else 0)
        assert event.stream is None or event.stream.captured is None, "synchronize within a capture"
        event.reach()

    def capture(self, stream: LazyStream, work: Callable[[], None]) -> int:
        self._note("capture", stream.handle)
        if self.refuses_capture:
            raise CaptureRefused(f"{self.name}: no capture (as asked)")
        stream.captured = []
        try:
            work()
        except DeviceError as error:
            raise CaptureRefused(str(error)) from None
        finally:
            captured, stream.captured = stream.captured, None
        graph = len(self.calls)
        self.graphs[graph] = captured
        return graph

    def launch_graph(self, graph: int, stream: LazyStream) -> None:
        self._note("launch_graph", stream.handle)
        for work in self.graphs[graph]:
            stream.put(work)

    def free_graph(self, graph: int) -> None:
        self._note("free_graph")
        del self.graphs[graph]

    def free_memory(self) -> int:
        self._note("free_memory")
        return GAP - sum(len(memory) for memory in self.memory.values())

    def close(self) -> None:
        assert not self._depth
        self.calls.append(("close", None))
        self.closed = True

    def _note(self, name: str, detail: object = None) -> None:
        assert self._depth, f"{name} outside of the context"
        assert not self.closed, f"{name} after close"
        self.calls.append((name, detail))
        if self._fail is not None and name == self._fail[0] and self.names().count(name) >= self._fail[1]:
            raise DeviceError(f"{self.name}: could not {name} (as asked)")

    def _preprocess(self, channels: int, *arguments: int) -> None:
        """Do what the kernel does, by `bundle.preprocess`."""
        frame, rows, columns, row_bytes, samples, red, made, height, width = arguments
        assert row_bytes == columns * samples
        pixels = self.view(frame, rows * row_bytes).reshape(rows, columns, samples)
        pixels = pixels[..., 0] if samples == 1 else pixels[..., :: -1 if red == 2 else 1]
        inputs = preprocess(pixels, InputSpec(height=height, width=width, channels=channels))
        self.view(made, inputs.size)[:] = inputs.ravel()


class TinyNetwork:
    """A loaded plan of the tiny bundle, computed in numpy when its turn on the stream comes."""

    description = "numpy"

    def __init__(self, driver: RecordingDriver, manifest: Manifest, batch: int = 1, wrong: int = 0) -> None:
        self.driver, self.manifest, self.batch = driver, manifest, batch
        self.wrong = wrong
        self.closed = False

    def make_context(self) -> "TinyContext":
        return TinyContext(self)

    def close(self) -> None:
        self.closed = True


class TinyContext:
    """Knows its tensors' addresses, like TensorRT's."""

    def __init__(self, network: TinyNetwork) -> None:
        self._network = network
        self._address: dict[str, int] = {}

    def bind(self, tensor: str, memory: int) -> None:
        self._address[tensor] = memory

    def enqueue(self, stream: LazyStream) -> None:
        self._network.driver.calls.append(("enqueue", stream.handle))
        stream.put(self._compute)

    def _compute(self) -> None:
        network, view = self._network, self._network.driver.view
        spec, batch = network.manifest.input.network, network.batch
        inputs = view(self._address["frames"], batch * spec.height * spec.width)
        scores, masks = tiny_outputs(inputs.reshape(batch, 1, spec.height, spec.width))
        masks = masks + np.uint8(network.wrong)
        view(self._address["scores"], scores.nbytes)[:] = scores.view(np.uint8).ravel()
        view(self._address["masks"], masks.nbytes)[:] = masks.ravel()


def open_stream(driver: RecordingDriver, batch: int = 1, **changes: object) -> StreamEngine:
    """Open the tiny network on a device."""
    manifest = tiny_manifest(**changes)
    return StreamEngine(manifest, driver, lambda: TinyNetwork(driver, manifest, batch), b"cubin")
