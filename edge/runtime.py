"""The loop: trigger -> frame -> decision -> row -> result, one verdict for every trigger, in the triggers' order.

Threads: `line` hears the PLC and hands each part to the others, one `grab` for each camera takes its frames, `infer`
owns the engine, `report` waits for each part's verdict until its deadline, writes its row and sends its result. A part
is settled once; who comes second (a late frame, a late decision) finds it settled and lets it go.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bundle import Bundle, Verdict
from edge.camera import Camera, Clock, Frame
from edge.grabber import Grabber
from edge.inspector import Inspector
from edge.judge import Judge
from edge.part import Part, View
from edge.records import Records
from edge.reporter import Reporter, Tally
from edge.settle import settle_as, settle_error
from firmware_bridge.events import Acknowledged, Event, Undelivered
from firmware_bridge.link import Link
from firmware_bridge.messages import Changeover, Fault, FaultCode, Message, Trigger

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
    ) -> None:
        self.triggers = 0
        """Parts that the PLC has triggered since the start."""
        self.overruns = 0
        """Those that came while `open_parts` were open; each got TIMEOUT."""
        self.finished = threading.Event()
        """Set when the camera has no more frames, or a thread has failed."""
        self.failure: BaseException | None = None
        """What made a thread fail; our fault, never a part's."""
        self.clock = clock
        self._cameras, self._records, self._link, self._rules = cameras, records, link, rules
        self._judge = Judge(inspector, clock, self._changed_over)
        self._reporter = Reporter(records, link, clock, rules.record_wait_s, rules.shadow, rules.alarm_after_rejects)
        self._grabbers = [
            Grabber(number, camera, rules.grab_timeout_s, self) for number, camera in enumerate(cameras.values())
        ]
        self._changing = False  # from the PLC's wish for another recipe until it is in force or refused
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()
        """Recipe numbers that the PLC wants; whoever takes one answers by `use` or `refuse_changeover`."""
        self._stopping = threading.Event()
        grab_loops = {
            f"grab {name}": partial(grabber.run, self.finished.set)
            for name, grabber in zip(cameras, self._grabbers, strict=True)
        }
        loops = {"line": self._line, **grab_loops, "infer": self._judge.run, "report": self._reporter.run}
        self._threads = [threading.Thread(target=self._guard, args=(loop,), name=name) for name, loop in loops.items()]

    @property
    def bundle(self) -> Bundle:
        """The bundle that judges at present."""
        return self._judge.inspector.bundle

    def watch(self, watcher: Callable[[Part], None]) -> None:
        """Show every part to `watcher` once its result is sent, in the reporting thread."""
        self._reporter.watchers.append(watcher)

    @property
    def tally(self) -> Tally:
        """What has been reported since the start."""
        return self._reporter.tally

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
            self._judge.inbox,
            self._reporter.parts,
        ]
        for inbox, thread in zip(inboxes, chain, strict=True):
            inbox.put(None)
            thread.join()

    def use(self, inspector: Inspector, recipe: int = 0) -> None:
        """Judge by another bundle or engine from the next part on; the one before is closed and the PLC is told.

        recipe: the PLC's number of it, where the PLC asked.
        """
        self._judge.use(inspector, recipe)

    def refuse_changeover(self, recipe: int, reason: str) -> None:
        """Tell the PLC that the recipe it asked for is not to be had; the bundle in use stays."""
        log.error("changeover to recipe %d refused, the station goes on as before: %s", recipe, reason)
        self._changing = False
        self._link.send(Fault(FaultCode.BUNDLE, text=f"recipe {recipe} refused"))

    def _changed_over(self, inspector: Inspector, recipe: int) -> None:
        self._changing = False
        self._link.send(Changeover(recipe, inspector.bundle.id))

    def close_inspector(self) -> None:
        """Free the engine in use; to be called after `stop`."""
        self._judge.inspector.engine.close()

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

    # line

    def _line(self) -> None:
        while not self._stopping.is_set():
            self._serve()
        while self.tally.reported < self.triggers and self._threads[-1].is_alive():
            self._serve()
        last_moment = self.clock() + DELIVERY_S
        while self._reporter.in_flight and self.clock() < last_moment:
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
            self._reporter.delivered(event.message, isinstance(event, Acknowledged))
        elif not isinstance(event, Message):
            log.info("line: %s", event)

    def _triggered(self, trigger: Trigger) -> None:
        now = self.clock()
        self.triggers += 1
        self._records.last_number += 1
        views = tuple(View(name, camera.expose()) for name, camera in self._cameras.items())
        deadline = now + self._rules.deadline_s
        part = Part(self._records.last_number, trigger.part_id, trigger.encoder, now, deadline, views)
        part.bundle_id = self.bundle.id
        if self._stopping.is_set():
            settle_as(part, Verdict.FAULT, "the station is stopping")
        elif self._changing:
            settle_as(part, Verdict.FAULT, "the station is changing over to another recipe")
        elif self.triggers - self.tally.reported > self._rules.open_parts:
            self.overruns += 1
            settle_as(part, Verdict.TIMEOUT, f"{self._rules.open_parts} parts wait for their verdicts already")
        else:
            for grabber in self._grabbers:
                grabber.parts.put(part)
        self._reporter.parts.put(part)

    # grab

    def frame_arrived(self, part: Part, camera: int, frame: Frame) -> None:
        """Pass a part on to the engine once all its frames are there."""
        if part.add_frame(camera, frame):
            self._judge.inbox.put(part)

    def frame_missing(self, part: Part, error: Exception) -> None:
        """Settle a part that lacks a frame."""
        settle_error(part, error)
