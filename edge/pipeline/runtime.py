"""The loop: trigger -> frame -> decision -> row -> result, one verdict for every trigger, in the triggers' order.

Threads: `line` hears the PLC and hands each part to the others, one `grab` for each camera takes its frames, `infer`
owns the engine, `report` waits for each part's verdict until its deadline, then for its row, and sends its result. A
part is settled once, and whoever settles it hands its row to the records; who comes second (a late frame, a late
decision) finds it settled and lets it go.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from bundle import Bundle
from edge.alarms import Alarm, Alarms
from edge.cameras.camera import Camera, Clock
from edge.config.line import Line
from edge.ejector.rejects import Rejects
from edge.part import Part
from edge.pipeline.health_monitor import Watchman
from edge.pipeline.inference_loop import Judge
from edge.pipeline.inspector import Inspector
from edge.pipeline.part_source import Intake
from edge.pipeline.plc_messages import to_alarms, to_fault
from edge.pipeline.reporter import Reporter, Tally
from edge.records.writer import Records
from firmware_bridge.events import Acknowledged, Event, HelloReceived, PeerBack, PeerLost, PortLost, Undelivered
from firmware_bridge.link import Link
from firmware_bridge.messages import AGE_UNKNOWN, BeltPosition, Changeover, Fault, FaultCode, Message, Trigger

log = logging.getLogger(__name__)

POLL_S = 0.02
"""How long the line thread waits for the PLC before it looks whether to stop."""
DELIVERY_S = 3.0
"""How long a stopping station waits for the last acknowledgements."""
ALARMS_S = 1.0
"""The PLC is told which alarms are in force at least this often, as one word may be lost."""


class Runtime:
    """The running loop over things that are open already; it closes none of them."""

    def __init__(
        self,
        inspector: Inspector,
        cameras: Mapping[str, Camera],
        records: Records,
        link: Link,
        line: Line,
        clock: Clock,
        alarms: Alarms | None = None,
        rejects: Rejects | None = None,
    ) -> None:
        self.alarms = alarms or Alarms()
        """What is wrong at present; the PLC is told of each as a Fault."""
        self.finished = threading.Event()
        """Set when the camera has no more frames, or a thread has failed."""
        self.failure: BaseException | None = None
        """What made a thread fail; our fault, never a part's."""
        self.clock = clock
        self._link = link
        self._judge = Judge(inspector, clock, self._changed_over)
        self._rejects = rejects or Rejects(records, self.alarms, clock)
        self._reporter = Reporter(records, link, line, clock, self.alarms, self._rejects)
        self._intake = Intake(cameras, records, line, clock, self._rejects, self._judge, self._reporter)
        self._watchman = Watchman(self.alarms, cameras, records)
        self.alarms.listeners.append(self._tell_plc)
        self._alarms_told, self._alarms_at = to_alarms(()), clock()
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()
        """Recipe numbers that the PLC wants; whoever takes one answers by `use` or `refuse_changeover`."""
        loops: dict[str, Callable[[], None]] = {
            "line": self._line,
            **self._intake.loops(self.finished.set),
            "infer": self._judge.run,
            "report": self._reporter.run,
        }
        self._threads = [self._thread(name, loop) for name, loop in loops.items()]
        ejector = self._rejects.ejector
        self._ejecting = [self._thread("eject", ejector.run)] if ejector else []

    @property
    def inspector(self) -> Inspector:
        """Bundle and engine that judge at present."""
        return self._judge.inspector

    @property
    def bundle(self) -> Bundle:
        """The bundle that judges at present."""
        return self.inspector.bundle

    def watch(self, watcher: Callable[[Part], None]) -> None:
        """Show every part to `watcher` once its result is sent, in the reporting thread."""
        self._reporter.watchers.append(watcher)

    @property
    def tally(self) -> Tally:
        """What has been reported since the start."""
        return self._reporter.tally

    @property
    def triggers(self) -> int:
        """Parts that have been triggered since the start."""
        return self._intake.triggers

    @property
    def overruns(self) -> int:
        """Those that came while `open_parts` were open; each got TIMEOUT."""
        return self._intake.overruns

    @property
    def frames_discarded(self) -> int:
        """Frames of parts that were settled before their frame came."""
        return self._intake.discarded

    def start(self) -> None:
        """Start the threads; from here on every trigger gets its verdict."""
        for thread in (*self._threads, *self._ejecting):
            thread.start()

    def stop(self) -> None:
        """Take no more triggers, give every open part its verdict, tell the PLC, and end the threads."""
        self._intake.stopping.set()
        line, *chain = self._threads
        line.join()
        inboxes: list[queue.SimpleQueue[Any]] = [
            *self._intake.inboxes,
            self._judge.inbox,
            self._reporter.parts,
        ]
        for inbox, thread in zip(inboxes, chain, strict=True):
            inbox.put(None)
            thread.join()
        if self._rejects.ejector is not None:
            self._rejects.ejector.stop()
            self._ejecting[0].join()

    def use(self, inspector: Inspector, recipe: int = 0) -> None:
        """Judge by another bundle or engine from the next part on; the one before is closed and the PLC is told.

        recipe: the PLC's number of it, where the PLC asked.
        """
        self._judge.use(inspector, recipe)

    def refuse_changeover(self, recipe: int, reason: str) -> None:
        """Tell the PLC that the recipe it asked for is not to be had; the bundle in use stays."""
        log.error("changeover to recipe %d refused, the station goes on as before: %s", recipe, reason)
        self._intake.changing = False
        self._link.send(Fault(FaultCode.BUNDLE, text=f"recipe {recipe} refused"))

    def _changed_over(self, inspector: Inspector, recipe: int) -> None:
        self._intake.changing = False
        self._link.send(Changeover(recipe, inspector.bundle.id))

    def close_inspector(self) -> None:
        """Free the engine in use; to be called after `stop`."""
        self._judge.inspector.engine.close()

    @property
    def alive(self) -> bool:
        """Whether every thread of the loop runs."""
        return self.failure is None and all(thread.is_alive() for thread in (*self._threads, *self._ejecting))

    def _thread(self, name: str, loop: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=self._guard, args=(loop,), name=name)

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:  # a thread must not die in silence
            log.exception("the %s thread failed; the station stops", threading.current_thread().name)
            self.failure = error
            self.finished.set()

    # line

    def _line(self) -> None:
        while not self._intake.stopping.is_set():
            self._serve()
        while self.tally.reported < self._intake.triggers and self._threads[-1].is_alive():
            self._serve()
        last_moment = self.clock() + DELIVERY_S
        while self._reporter.in_flight and self.clock() < last_moment:
            self._serve()
        self._link.go_offline("stopped")
        self._link.poll(POLL_S)

    def _serve(self) -> None:
        self._watchman.look()
        self._rejects.look()
        self._tell_alarms()
        for event in self._link.poll(POLL_S):
            self._hear(event)

    def _tell_alarms(self) -> None:
        alarms, now = to_alarms(self.alarms.active), self.clock()
        if alarms != self._alarms_told or now >= self._alarms_at:
            self._alarms_told, self._alarms_at = alarms, now + ALARMS_S
            self._link.send(alarms)

    def _tell_plc(self, alarm: Alarm, raised: bool) -> None:
        if raised:
            self._link.send(to_fault(alarm))

    def _hear(self, event: Event) -> None:
        self._watchman.hear(event)
        if isinstance(event, Trigger):
            age_s = None if event.age_ms == AGE_UNKNOWN else event.age_ms / 1e3
            self._intake.triggered(event.part_id, event.encoder, age_s)
        elif isinstance(event, BeltPosition):
            self._rejects.belt_at(event.encoder, event.arrived)
        elif isinstance(event, (HelloReceived, PeerBack, PeerLost, PortLost)):
            self._rejects.connected(isinstance(event, (HelloReceived, PeerBack)), isinstance(event, HelloReceived))
            log.info("line: %s", event)
        elif isinstance(event, Fault):
            if event.code is FaultCode.OUTPUT:
                self._rejects.unconfirmed(event.part_id)
        elif isinstance(event, Changeover):
            self._intake.changing = True
            self.changeovers.put(event.recipe)
        elif isinstance(event, (Acknowledged, Undelivered)):
            self._reporter.delivered(event.message, isinstance(event, Acknowledged))
        elif not isinstance(event, Message):
            log.info("line: %s", event)
