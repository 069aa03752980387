"""Benchmark of the runtime against the bare engine, alternating on the bundle's golden frames."""

import queue
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np

from bundle import Bundle, Image, resize
from edge.cameras.camera import Clock, Frame
from edge.cameras.on_demand import OnDemandCamera
from edge.commands.bench_report import BenchFigures, RuntimeFigures
from edge.config.line import Line
from edge.config.schema import CameraSettings, PictureSettings
from edge.engines.engine import Engine, Pending
from edge.engines.registry import open_engine
from edge.errors import EngineError
from edge.part import Part
from edge.pipeline.inspector import Inspector
from edge.pipeline.runtime import Runtime
from edge.records.pictures import PictureStore
from edge.records.summary import latencies_ms
from edge.records.writer import Records
from firmware_bridge.events import Acknowledged, Event
from firmware_bridge.messages import Message, Result, Trigger

ROUNDS = 5
BUSY = 4
"""Number of open parts for the throughput measurement."""
EVERY_PICTURE = 1
"""Interval of stored pictures in good parts; pictures of rejects are always stored."""


class MemoryCamera(OnDemandCamera):
    """Returns the same frames repeatedly, as if they had just arrived in memory."""

    def __init__(self, frames: Sequence[Image], clock: Clock) -> None:
        super().__init__("memory", clock)
        self._frames = frames

    def _grab(self, timeout_s: float) -> Frame:
        exposure = self._next_exposure(timeout_s)
        return Frame(self._frames[exposure % len(self._frames)], exposure, self.clock(), "memory")


class InstantPlc:
    """A PLC without a link: keeps `open_parts` parts open and acknowledges at once."""

    def __init__(self, parts: int, open_parts: int) -> None:
        self.done = threading.Event()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._parts, self._answered, self._triggered = parts, 0, 0
        for _ in range(min(open_parts, parts)):
            self._trigger()

    @property
    def is_open(self) -> bool:
        """True: the simulated link is always open."""
        return True

    def poll(self, timeout_s: float) -> list[Event]:
        """Return the next event."""
        try:
            return [self._events.get(timeout=timeout_s)]
        except queue.Empty:
            return []

    def send(self, message: Message) -> None:
        """Acknowledge a result and trigger the next part."""
        if not isinstance(message, Result):
            return
        self._answered += 1
        self._events.put(Acknowledged(message))
        if self._triggered < self._parts:
            self._trigger()
        if self._answered == self._parts:
            self.done.set()

    def go_offline(self, reason: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: no resource is held."""

    def _trigger(self) -> None:
        self._triggered += 1
        self._events.put(Trigger(self._triggered, self._triggered * 1000))


@dataclass
class RuntimeRounds:
    """Rounds of the runtime in one mode, with records of their own."""

    folder: Path
    open_parts: int
    pictures: bool
    per_s: list[float] = field(default_factory=list)
    to_result_ms: list[float] = field(default_factory=list)
    """Latency from the frame in memory to the result at the link, one entry per part."""
    around_engine_ms: list[float] = field(default_factory=list)
    """The same without the engine's time."""
    skipped: int = 0
    """Parts whose pictures were skipped because the queue was full."""
    fault: str = ""
    """Reason why a part could not be inspected; then the figures are invalid."""

    @property
    def records(self) -> Path:
        """The database."""
        return self.folder / "bench.sqlite"

    def note(self, part: Part) -> None:
        """Record the latencies of a part whose result is sent."""
        at = part.stamps
        if part.outcome is not None and part.outcome.fault:
            self.fault = part.outcome.fault
            return
        to_result = at["sent"] - at["frame"]
        self.to_result_ms.append(1e3 * to_result)
        self.around_engine_ms.append(1e3 * (to_result - (at["inferred"] - at["prepared"])))


class Bench:
    """Measures a bundle on the bare engine and in the runtime."""

    def __init__(self, bundle: Bundle, engine: Engine, parts: int, fitted: bool = False) -> None:
        """fitted: whether the golden frames are resized to the network's input beforehand."""
        self.bare_ms: list[float] = []
        """Latency of each frame on the bare engine."""
        self._bundle, self._engine, self._parts = bundle, engine, parts
        self._frames = [_fitted(frame, bundle) for frame in bundle.golden.frames] if fitted else bundle.golden.frames
        self._inputs = [bundle.prepare(frame)[np.newaxis] for frame in self._frames]
        self._inspector = Inspector(bundle, engine, perf_counter)
        self._inspector.warm_up(views=1)

    def bare(self) -> float:
        """Frames per second of the engine alone, at its best: inputs made beforehand, or frames in all its slots."""
        return max(self._one_by_one(), self._overlapped()) if self._engine.slots > 1 else self._one_by_one()

    def run(self, course: RuntimeRounds) -> None:
        """Run one round, from frames in memory to results at the link."""
        plc = InstantPlc(self._parts, course.open_parts)
        most = course.open_parts + 1  # a part counts as open until its watchers have seen it, the PLC is quicker
        camera = MemoryCamera(self._frames, perf_counter)
        line = Line(
            bundle=self._bundle.folder, camera=(CameraSettings(address=camera.address),), plc="none",
            records=course.records, deadline_ms=60_000, grab_timeout_ms=60_000, open_parts=most,
        )  # fmt: skip
        with self._kept(course) as (records, watchers):
            runtime = Runtime(self._inspector, {line.camera[0].name: camera}, records, plc, line, perf_counter)
            for watcher in (course.note, *watchers):
                runtime.watch(watcher)
            start = perf_counter()
            runtime.start()
            try:
                plc.done.wait()
                course.per_s.append(self._parts / (perf_counter() - start))
            finally:
                runtime.stop()
        if course.fault:
            raise EngineError(
                f"bench: found a part without a verdict ({course.fault}), expected one for each; see there"
            )

    @contextmanager
    def _kept(self, course: RuntimeRounds) -> Iterator[tuple[Records, list[Callable[[Part], None]]]]:
        """Open and close the records and the picture store of a round."""
        records = Records(course.records, late_rows=self._parts)  # a slow disk lowers the figure, no part is a FAULT
        try:
            if not course.pictures:
                yield records, []
                return
            settings = PictureSettings(folder=course.folder / "pictures", one_in_good=EVERY_PICTURE)
            pictures = PictureStore(settings, records, lambda: self._bundle.manifest)
            try:
                yield records, [pictures.offer]
            finally:
                pictures.close()
                course.skipped += pictures.skipped
        finally:
            records.close()

    def _one_by_one(self) -> float:
        start = at = perf_counter()
        for number in range(self._parts):
            self._engine.infer(self._inputs[number % len(self._inputs)])
            before, at = at, perf_counter()
            self.bare_ms.append(1e3 * (at - before))
        return self._parts / (at - start)

    def _overlapped(self) -> float:
        under_way: deque[Pending] = deque()
        start = perf_counter()
        for number in range(self._parts):
            if len(under_way) == self._engine.slots:
                under_way.popleft()()
            under_way.append(self._engine.begin([self._frames[number % len(self._frames)]]))
        while under_way:
            under_way.popleft()()
        return self._parts / (perf_counter() - start)


def measure(
    bundle: Bundle, engine_name: str, threads: int | None, parts: int, rounds: int = ROUNDS, fitted: bool = False
) -> BenchFigures:
    """Measure a bundle on one engine, `parts` frames per round and mode.

    fitted: whether the frames are of the network's size already. Raises EngineError.
    """
    engine = open_engine(engine_name, bundle, threads)
    try:
        bench = Bench(bundle, engine, parts, fitted)
        bare_per_s: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            pairs = {
                name: (
                    RuntimeRounds(Path(folder, name, "busy"), BUSY, kept),
                    RuntimeRounds(Path(folder, name, "alone"), 1, kept),
                )
                for name, kept in (("no pictures", False), ("every picture", True))
            }
            for _ in range(rounds):
                bare_per_s.append(bench.bare())
                for course in (course for pair in pairs.values() for course in pair):
                    bench.run(course)
            ways = {name: _way(*pair) for name, pair in pairs.items()}
    finally:
        engine.close()
    return BenchFigures(
        bundle.manifest.name, bundle.id, engine.description, threads, parts, bare_per_s, bench.bare_ms, ways
    )


def _fitted(frame: Image, bundle: Bundle) -> Image:
    """Resize a frame to the network's input, as from a camera with that region of interest."""
    spec = bundle.manifest.input
    if spec.crop is not None:
        raise EngineError(
            f"bench --fitted: found that the bundle takes a part of each frame ({spec.crop}), expected whole frames; "
            "leave --fitted out"
        )
    return resize(frame, spec.height, spec.width)


def _way(busy: RuntimeRounds, alone: RuntimeRounds) -> RuntimeFigures:
    return RuntimeFigures(
        per_s=busy.per_s,
        to_result_ms=alone.to_result_ms,
        around_engine_ms=alone.around_engine_ms,
        stages_ms={"busy": latencies_ms(busy.records), "alone": latencies_ms(alone.records)},
        skipped=busy.skipped + alone.skipped,
    )
