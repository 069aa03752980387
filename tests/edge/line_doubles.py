"""Doubles for the ends of the runtime: a PLC worked by hand, cameras and engines that misbehave on request."""

import queue
import threading
from collections.abc import Sequence
from time import monotonic

import numpy as np

from bundle import Image, Manifest
from edge.cameras.camera import Frame
from edge.cameras.on_demand import OnDemandCamera
from edge.config.line import Line
from edge.engines.engine import Engine, Outputs
from edge.errors import EngineError, FrameDamaged
from edge.part import Part, View
from edge.pipeline.inference_loop import InferenceLoop
from firmware_bridge.events import Acknowledged, Event
from firmware_bridge.messages import ActiveAlarms, Message, Offline, Result, Trigger
from tests.conftest import tiny_outputs


def make_line(**keys: object) -> Line:
    """Make a line of which only the given keys matter; bundle, camera and PLC are handed to the runtime opened."""
    given = {"bundle": "bundle", "camera": [{"address": "list"}], "plc": "by hand"}
    return Line.model_validate({**given, **keys})


class HandPlc:
    """A PLC that triggers when told to, keeps what it is sent and acknowledges it unless told not to."""

    def __init__(self, acknowledge: bool = True) -> None:
        self.results: list[Result] = []
        self.others: list[Message] = []
        """Whatever else was sent."""
        self.alarms: list[ActiveAlarms] = []
        """Each word of alarms; there is one at least every second."""
        self.offline: list[str] = []
        self.is_open = True
        self._acknowledge = acknowledge
        self._events: queue.SimpleQueue[Event | threading.Event] = queue.SimpleQueue()
        self._drained: list[threading.Event] = []
        self._arrived = threading.Condition()

    def trigger(self, *part_ids: int) -> None:
        """Announce parts; the encoder count is ten times the part id."""
        for part_id in part_ids:
            self._events.put(Trigger(part_id, part_id * 10))

    def tell(self, event: Event) -> None:
        """Let the link report something."""
        self._events.put(event)

    def poll(self, timeout_s: float) -> list[Event]:
        """Return the next event."""
        for drained in self._drained:
            drained.set()
        self._drained.clear()
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return []
        if isinstance(event, threading.Event):
            self._drained.append(event)
            return []
        return [event]

    def drain(self) -> None:
        """Wait until the station has handled all events so far, and has checked its health once since then."""
        drained = threading.Event()
        self._events.put(drained)
        assert drained.wait(10.0), "the station does not poll its link"

    def send(self, message: Message) -> None:
        """Keep a result."""
        with self._arrived:
            if isinstance(message, Result):
                self.results.append(message)
            elif isinstance(message, ActiveAlarms):
                self.alarms.append(message)
                self._arrived.notify_all()
                return
            else:
                self.others.append(message)
            self._arrived.notify_all()
        if self._acknowledge:
            self._events.put(Acknowledged(message))

    def go_offline(self, reason: str) -> None:
        """Keep the reason."""
        self.offline.append(Offline(reason).reason)

    def close(self) -> None:
        """Nothing is held."""

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Result]:
        """Wait until this number of results has arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.results) >= count, timeout_s), f"only {self.results}"
        return self.results

    def wait_for_alarms(self, word: ActiveAlarms, timeout_s: float = 10.0) -> None:
        """Wait until this word is the last."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.alarms[-1:] == [word], timeout_s), f"only {self.alarms}"

    def wait_for_other(self, count: int, timeout_s: float = 10.0) -> list[Message]:
        """Wait until this number of messages other than results has arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.others) >= count, timeout_s), f"only {self.others}"
        return self.others


class ListCamera(OnDemandCamera):
    """Hands over given frames; an exception in the list is raised in its turn, None is an exposure without a frame."""

    def __init__(self, frames: Sequence[Image | None]) -> None:
        super().__init__("list", monotonic)
        self._frames = frames

    def _grab(self, timeout_s: float) -> Frame:
        while True:
            exposure = self._next_exposure(timeout_s)
            pixels = self._frames[(exposure - 1) % len(self._frames)]
            if pixels is not None:
                return Frame(pixels, exposure, self.clock(), f"list#{exposure}")


class DamagedCamera(ListCamera):
    """Like `ListCamera`, but the frames of some exposures are damaged."""

    def __init__(self, frames: Sequence[Image | None], damaged: set[int]) -> None:
        super().__init__(frames)
        self._damaged = damaged

    def _grab(self, timeout_s: float) -> Frame:
        frame = super()._grab(timeout_s)
        if frame.exposure in self._damaged:
            raise FrameDamaged(f"list#{frame.exposure}: damaged", frame.exposure)
        return frame


class AgeCamera(ListCamera):
    """Like `ListCamera`, and keeps how old each exposure's trigger was."""

    def __init__(self, frames: Sequence[Image | None]) -> None:
        super().__init__(frames)
        self.ages_s: list[float | None] = []

    def _expose(self, exposure: int, age_s: float | None, after_s: float) -> None:
        self.ages_s.append(age_s)
        super()._expose(exposure, age_s, after_s)


class NumpyEngine(Engine):
    """Computes the tiny model in numpy; fails on the inputs named, and waits at the gate if there is one."""

    def __init__(self, manifest: Manifest, fail_on: int | None = None, gate: threading.Event | None = None) -> None:
        super().__init__(manifest, "numpy")
        self.calls = 0
        self.batches: list[int] = []
        """Number of frames of each call."""
        self.closed = False
        self._fail_on, self._gate = fail_on, gate

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def _infer(self, inputs: Image) -> Outputs:
        self.calls += 1
        self.batches.append(len(inputs))
        if self._gate is not None:
            assert self._gate.wait(10.0)
        if self.calls == self._fail_on:
            raise EngineError("numpy: failed as asked")
        scores, masks = tiny_outputs(inputs)
        return scores, np.asarray(masks, np.uint8)


def arrived(number: int, pixels: Image) -> Part:
    """Make a part whose one frame is there."""
    now = monotonic()
    return Part(number, number, number, now, now + 60, (View("top", number, Frame(pixels, number, now, "")),))


def infer_all(loop: InferenceLoop, *items: object) -> None:
    """Run an inference loop on these items to their end, in a thread of its own."""
    for item in (*items, None):
        loop.inbox.put(item)  # type: ignore[arg-type]
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join()
