"""The loop: trigger -> frame -> decision -> row -> result, one verdict for every trigger, in the triggers' order.

Threads: `line` hears the PLC and hands each part to the others, one `grab` for each camera takes its frames, `infer`
owns the engine, `report` waits for each part's verdict until its deadline, writes its row and sends its result. A part
is settled once; who comes second (a late frame, a late decision) finds it settled and lets it go.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bundle import FrameError, Verdict
from edge.camera import Camera, Clock, Frame
from edge.errors import CameraError, EngineError
from edge.grabber import Grabber
from edge.inspector import Inspector
from edge.part import Outcome, Part, View
from edge.records import Records
from edge.wire import to_result
from firmware_bridge.events import Acknowledged, Event, Undelivered
from firmware_bridge.link import Link
from firmware_bridge.messages import Changeover, Fault, FaultCode, Message, Result, Trigger

log = logging.getLogger(__name__)

POLL_S = 0.02
"""How long the line thread waits for the PLC before it looks whether to stop."""
DELIVERY_S = 3.0
"""How long a stopping station waits for the last acknowledgements."""


@dataclass(frozen=True)
class Rules:
    """What the line asks of the loop; see the fields of the same names in `Line`."""

    deadline_s: float = 0.5
    grab_timeout_s: float = 0.2
    open_parts: int = 8
    record_wait_s: float = 0.005
    shadow: bool = False
    alarm_after_rejects: int = 0


@dataclass
class Counts:
    """What has happened since the start."""

    triggers: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    acknowledged: int = 0
    undelivered: int = 0
    overruns: int = 0
    """Triggers that came while `open_parts` were open; each got TIMEOUT at once."""


class Runtime:
    """The running loop over things that are open already; it closes none of them."""

    def __init__(
        self,
        inspector: Inspector,
        cameras: Mapping[str, Camera],
        records: Records,
        link: Link,
        rules: Rules,
        clock: Clock,
        on_settled: Callable[[Part], None] | None = None,
    ) -> None:
        self.counts = Counts()
        self.finished = threading.Event()
        """Set when the camera has no more frames, or a thread has failed."""
        self.failure: BaseException | None = None
        """What made a thread fail; our fault, never a part's."""
        self._inspector, self._cameras, self._records, self._link = inspector, cameras, records, link
        self._rules, self.clock, self._on_settled = rules, clock, on_settled
        self._in_flight: list[Part] = []  # from just before the sending until the link says what became of it
        self._in_flight_lock = threading.Lock()
        self._grabbers = [
            Grabber(number, camera, rules.grab_timeout_s, self) for number, camera in enumerate(cameras.values())
        ]
        self._rejects_in_a_row = 0
        self._changing = False  # from the PLC's wish for another recipe until it is in force or refused
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()
        """Recipe numbers that the PLC wants; whoever takes one answers by `use` or `refuse_changeover`."""
        self._to_infer: queue.SimpleQueue[Part | tuple[Inspector, int] | None] = queue.SimpleQueue()
        self._to_report: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._reported = 0
        grab_loops = {
            f"grab {name}": partial(grabber.run, self.finished.set)
            for name, grabber in zip(cameras, self._grabbers, strict=True)
        }
        loops = {"line": self._line, **grab_loops, "infer": self._infer, "report": self._report}
        self._threads = [threading.Thread(target=self._guard, args=(loop,), name=name) for name, loop in loops.items()]

    @property
    def frames_discarded(self) -> int:
        """Frames of parts that were settled before their frame came."""
        return sum(grabber.discarded for grabber in self._grabbers)

    def start(self) -> None:
        """Start the threads; from here on every trigger gets its verdict."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no more triggers, give every open part its verdict, tell the PLC, and end the threads."""
        self._stopping.set()
        line, *chain = self._threads
        line.join()
        inboxes: list[queue.SimpleQueue[Any]] = [
            *(grabber.parts for grabber in self._grabbers),
            self._to_infer,
            self._to_report,
        ]
        for inbox, thread in zip(inboxes, chain, strict=True):
            inbox.put(None)
            thread.join()

    def use(self, inspector: Inspector, recipe: int = 0) -> None:
        """Judge by another bundle or engine from the next part on; the one before is closed and the PLC is told.

        recipe: the PLC's number of it, where the PLC asked.
        """
        self._to_infer.put((inspector, recipe))

    def refuse_changeover(self, recipe: int, reason: str) -> None:
        """Tell the PLC that the recipe it asked for is not to be had; the bundle in use stays."""
        log.error("changeover to recipe %d refused, the station goes on as before: %s", recipe, reason)
        self._changing = False
        self._link.send(Fault(FaultCode.BUNDLE, text=f"recipe {recipe} refused"))

    def close_inspector(self) -> None:
        """Free the engine in use; to be called after `stop`."""
        self._inspector.engine.close()

    @property
    def alive(self) -> bool:
        """Whether every thread of the loop runs."""
        return self.failure is None and all(thread.is_alive() for thread in self._threads)

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:  # a thread must not die in silence
            log.exception("the %s thread failed; the station stops", threading.current_thread().name)
            self.failure = error
            self.finished.set()

    def _settle(self, part: Part, verdict: Verdict, fault: str) -> None:
        if part.settle(Outcome(verdict, fault=fault)):
            log.warning("part %d (row %d): %s: %s", part.part_id, part.number, verdict.name, fault)

    def _settle_error(self, part: Part, error: Exception) -> None:
        if isinstance(error, (CameraError, EngineError, FrameError)):
            self._settle(part, Verdict.FAULT, str(error))
        else:  # the outermost loop: whatever it was, this part is not proved good
            log.error("part %d could not be inspected", part.part_id, exc_info=error)
            self._settle(part, Verdict.FAULT, f"{type(error).__name__}: {error}")

    def _settle_late(self, part: Part) -> None:
        self._settle(part, Verdict.TIMEOUT, f"no verdict within {self._rules.deadline_s * 1e3:.0f} ms of the trigger")

    # line

    def _line(self) -> None:
        while not self._stopping.is_set():
            self._serve()
        while self._reported < self.counts.triggers and self._threads[-1].is_alive():
            self._serve()
        last_moment = self.clock() + DELIVERY_S
        while self._in_flight and self.clock() < last_moment:
            self._serve()
        self._link.go_offline("stopped")
        self._link.poll(POLL_S)

    def _serve(self) -> None:
        for event in self._link.poll(POLL_S):
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Trigger):
            self._triggered(event)
        elif isinstance(event, Changeover):
            self._changing = True
            self.changeovers.put(event.recipe)
        elif isinstance(event, (Acknowledged, Undelivered)):
            self._delivered(event.message, isinstance(event, Acknowledged))
        elif not isinstance(event, Message):
            log.info("line: %s", event)

    def _triggered(self, trigger: Trigger) -> None:
        now = self.clock()
        self.counts.triggers += 1
        self._records.last_number += 1
        views = tuple(View(name, camera.expose()) for name, camera in self._cameras.items())
        deadline = now + self._rules.deadline_s
        part = Part(self._records.last_number, trigger.part_id, trigger.encoder, now, deadline, views)
        part.bundle_id = self._inspector.bundle.id
        if self._stopping.is_set():
            self._settle(part, Verdict.FAULT, "the station is stopping")
        elif self._changing:
            self._settle(part, Verdict.FAULT, "the station is changing over to another recipe")
        elif self.counts.triggers - self._reported > self._rules.open_parts:
            self.counts.overruns += 1
            self._settle(part, Verdict.TIMEOUT, f"{self._rules.open_parts} parts wait for their verdicts already")
        else:
            for grabber in self._grabbers:
                grabber.parts.put(part)
        self._to_report.put(part)

    def _delivered(self, message: Message, arrived: bool) -> None:
        if not isinstance(message, Result):
            return
        with self._in_flight_lock:
            part = next((part for part in self._in_flight if part.part_id == message.part_id), None)
            if part is None:
                return
            self._in_flight.remove(part)
        if arrived:
            self.counts.acknowledged += 1
            part.stamps["acknowledged"] = self.clock()
        else:
            self.counts.undelivered += 1
        self._records.note_delivery(part, "acknowledged" if arrived else "undelivered")

    # grab

    def frame_arrived(self, part: Part, camera: int, frame: Frame) -> None:
        """Pass a part on to the engine once all its frames are there."""
        if part.add_frame(camera, frame):
            self._to_infer.put(part)

    def frame_missing(self, part: Part, error: Exception) -> None:
        """Settle a part that lacks a frame."""
        self._settle_error(part, error)

    # infer

    def _infer(self) -> None:
        while (item := self._to_infer.get()) is not None:
            if isinstance(item, tuple):
                self._change_over(*item)
            elif not item.settled:
                self._inspect(item)

    def _change_over(self, inspector: Inspector, recipe: int) -> None:
        before, self._inspector = self._inspector, inspector
        before.engine.close()
        self._changing = False
        self._link.send(Changeover(recipe, inspector.bundle.id))

    def _inspect(self, part: Part) -> None:
        try:
            outcome = self._inspector.inspect(part)
        except Exception as error:
            self._settle_error(part, error)
            return
        if self.clock() < part.deadline:
            part.settle(outcome)
        else:
            self._settle_late(part)

    # report

    def _report(self) -> None:
        for part in iter(self._to_report.get, None):
            if not part.wait(part.deadline - self.clock()):
                self._settle_late(part)
            part.told = Verdict.OK if self._rules.shadow else None
            part.stamps["recorded"] = self.clock()
            self._records.keep(part, self._rules.record_wait_s)
            self._send(part)
            self._reported += 1

    def _send(self, part: Part) -> None:
        if part.outcome is None:
            raise ValueError(f"part {part.number} has no verdict yet")
        part.told = part.told or part.outcome.verdict
        with self._in_flight_lock:
            self._in_flight.append(part)
        self.counts.verdicts[part.outcome.verdict] += 1
        self._link.send(to_result(part, self.clock()))
        part.stamps["sent"] = self.clock()
        self._watch_rejects(part, part.outcome.verdict)
        if self._on_settled is not None:
            self._on_settled(part)

    def _watch_rejects(self, part: Part, verdict: Verdict) -> None:
        """Raise the alarm when as many parts in a row were rejected as the line finds suspicious, then count anew."""
        self._rejects_in_a_row = 0 if verdict is Verdict.OK else self._rejects_in_a_row + 1
        if self._rejects_in_a_row and self._rejects_in_a_row == self._rules.alarm_after_rejects:
            log.error("alarm: %d parts in a row were rejected, the last one %d", self._rejects_in_a_row, part.part_id)
            self._link.send(Fault(FaultCode.OTHER, part.part_id, f"{self._rejects_in_a_row} rejects in a row"))
            self._rejects_in_a_row = 0
