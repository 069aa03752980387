"""How much the runtime adds to the bare engine: both on the same frames, in turns, in one run."""

import queue
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.table import Table

from bundle import Bundle, Image
from bundle.tiles import draw_part
from edge.camera import Clock, Frame
from edge.cameras.exposures import OnDemandCamera
from edge.engine import Engine, open_engine
from edge.inspector import Inspector
from edge.records import Records
from edge.report import latency_table
from edge.runtime import Rules, Runtime
from firmware_bridge.events import Acknowledged, Event
from firmware_bridge.messages import Message, Trigger

ROUNDS = 5
FRAMES = 16
OPEN_PARTS = 4


@dataclass(frozen=True)
class Measured:
    """Throughputs in frames per second, medians over the rounds."""

    engine: str
    bare: float
    runtime: float
    latencies: Table

    @property
    def ratio(self) -> float:
        """Throughput of the runtime over that of the bare engine."""
        return self.runtime / self.bare


class MemoryCamera(OnDemandCamera):
    """Hands over the same few frames again and again, as if they had just arrived in memory."""

    def __init__(self, frames: Sequence[Image], clock: Clock) -> None:
        super().__init__("memory", clock)
        self._frames = frames

    def _grab(self, timeout_s: float) -> Frame:
        exposure = self._next_exposure(timeout_s)
        return Frame(self._frames[exposure % len(self._frames)], exposure, self.clock(), "memory")


class InstantPlc:
    """A PLC without a wire: triggers as long as fewer than `OPEN_PARTS` are open, acknowledges at once."""

    def __init__(self, parts: int) -> None:
        self.done = threading.Event()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._parts, self._answered, self._triggered = parts, 0, 0
        for _ in range(min(OPEN_PARTS, parts)):
            self._trigger()

    def poll(self, timeout_s: float) -> list[Event]:
        """Hand over the next event."""
        try:
            return [self._events.get(timeout=timeout_s)]
        except queue.Empty:
            return []

    def send(self, message: Message) -> None:
        """Acknowledge a result and trigger the next part."""
        self._answered += 1
        self._events.put(Acknowledged(message))
        if self._triggered < self._parts:
            self._trigger()
        if self._answered == self._parts:
            self.done.set()

    def go_offline(self, reason: str) -> None:
        """Nobody listens."""

    def close(self) -> None:
        """Nothing is held."""

    def _trigger(self) -> None:
        self._triggered += 1
        self._events.put(Trigger(self._triggered, self._triggered * 1000))


def measure(bundle: Bundle, engine_name: str, threads: int | None, parts: int) -> Measured:
    """Measure a bundle on one engine, `parts` frames in each of the rounds."""
    engine = open_engine(engine_name, bundle, threads)
    frames = [draw_part(seed=1, index=index).image for index in range(FRAMES)]
    inspector = Inspector(bundle, engine, perf_counter)
    inspector.warm_up(cameras=1)
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "bench.sqlite")
        try:
            rounds = [
                (_bare(engine, bundle, frames, parts), _runtime(inspector, frames, records, parts))
                for _ in range(ROUNDS)
            ]
        finally:
            records.close()
        latencies = latency_table(records.path)
    engine.close()
    bare, runtime = np.median(np.array(rounds), axis=0)
    return Measured(engine.description, float(bare), float(runtime), latencies)


def _bare(engine: Engine, bundle: Bundle, frames: Sequence[Image], parts: int) -> float:
    """Frames per second of the engine alone, on inputs prepared beforehand."""
    inputs = [bundle.prepare(frame)[np.newaxis] for frame in frames]
    start = perf_counter()
    for number in range(parts):
        engine.infer(inputs[number % len(inputs)])
    return parts / (perf_counter() - start)


def _runtime(inspector: Inspector, frames: Sequence[Image], records: Records, parts: int) -> float:
    """Parts per second from frames in memory to results handed to the link."""
    plc = InstantPlc(parts)
    rules = Rules(deadline_s=60, grab_timeout_s=60, open_parts=OPEN_PARTS, record_wait_s=0.005)
    camera = MemoryCamera(frames, perf_counter)
    arrived: list[float] = []
    runtime = Runtime(inspector, {camera.address: camera}, records, plc, rules, perf_counter)
    runtime.watch(lambda part: arrived.append(part.stamps["sent"]))
    start = perf_counter()
    runtime.start()
    try:
        plc.done.wait()
    finally:
        runtime.stop()
    return parts / (arrived[-1] - start)
