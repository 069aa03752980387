"""Runtime: the threads of the pipeline, from trigger to result, with one verdict per trigger in trigger order.

Threads: `line` polls the PLC and starts the parts, one `grab` per camera takes the frames, `infer` owns the engine,
`report` waits for each part's verdict until its deadline, then for its row, and sends its result. A part is settled
once, and the thread that settles it queues its row; a later frame or decision is discarded.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bundle import Bundle
from edge.alarms import Alarm, Alarms, Area
from edge.cameras.camera import Camera, Clock
from edge.config.line import Line
from edge.ejector.rejects import Rejects
from edge.errors import StationError
from edge.part import Part
from edge.pipeline.health_monitor import HealthMonitor
from edge.pipeline.inference_loop import InferenceLoop
from edge.pipeline.inspector import Inspector
from edge.pipeline.part_source import PartSource
from edge.pipeline.plc_messages import event_text, to_alarms, to_fault
from edge.pipeline.reporter import ReportCounts, Reporter
from edge.records.writer import Records
from firmware_bridge.events import Acknowledged, Event, HelloReceived, PeerBack, PeerLost, PortLost, Undelivered
from firmware_bridge.link import Link
from firmware_bridge.messages import (
    BeltPosition,
    Changeover,
    Counters,
    Fault,
    FaultCode,
    Message,
    Offline,
    Settings,
    Trigger,
)

log = logging.getLogger(__name__)

POLL_S = 0.02
"""Polling interval of the line thread: timeout of one poll of the link."""
DELIVERY_S = 3.0
"""Time that a stopping station waits for the last acknowledgements."""
RECIPES_REFUSED = 8
"""Most alarms about refused recipes, the latest ones: a PLC could ask for each of 65,535 numbers."""
RELOAD_REFUSED = "reload refused"
"""Name of the alarm for a line.toml or bundle that a running station could not take over."""
ALARMS_S = 1.0
"""Longest time between two ActiveAlarms messages, which are not acknowledged and may be lost."""


class Runtime:
    """Pipeline over devices that are opened and closed by the caller."""

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
        """Active alarms; each is sent to the PLC as a Fault message."""
        self.finished = threading.Event()
        """Set after the camera's last picture, or when a thread has failed."""
        self.failure: BaseException | None = None
        """Exception that ended a thread: a programming error, never a problem of one part."""
        self.clock = clock
        self._link, self.records = link, records
        self._inference = InferenceLoop(inspector, clock, self._changed_over, line.recipe)
        self._rejects = rejects or Rejects(records, self.alarms, clock)
        self._reporter = Reporter(records, link, line, clock, self.alarms, self._rejects)
        self._source = PartSource(cameras, records, line, clock, self._rejects, self._inference, self._reporter)
        self._health = HealthMonitor(self.alarms, cameras, records, line.deadline_s)
        self.alarms.listeners.append(self._send_fault)
        self._alarms_sent, self._alarms_at = to_alarms(()), clock()
        self._recipes_refused: list[str] = []  # names of alarms, the latest at the end
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()
        """Recipe numbers requested by PLC or plant; the consumer answers each by `use` or `refuse_changeover`."""
        loops: dict[str, Callable[[], None]] = {
            "line": self._line,
            **self._source.loops(self.finished.set),
            "infer": self._inference.run,
            "report": self._reporter.run,
        }
        self._threads = [self._thread(name, loop) for name, loop in loops.items()]
        ejector = self._rejects.ejector
        self._ejecting = [self._thread("eject", ejector.run)] if ejector else []

    @property
    def inspector(self) -> Inspector:
        """Bundle and engine in use."""
        return self._inference.inspector

    @property
    def bundle(self) -> Bundle:
        """Bundle in use."""
        return self.inspector.bundle

    @property
    def recipe(self) -> int:
        """Recipe number of the bundle in use; 0 if it has none."""
        return self._inference.recipe

    def watch(self, watcher: Callable[[Part], None]) -> None:
        """Call `watcher` with every part after its result is sent, in the reporting thread."""
        self._reporter.watchers.append(watcher)

    @property
    def tally(self) -> ReportCounts:
        """Counters of the results since the start."""
        return self._reporter.tally

    @property
    def triggers(self) -> int:
        """Number of parts since the start."""
        return self._source.triggers

    @property
    def overruns(self) -> int:
        """Parts that exceeded `open_parts`; each is TIMEOUT."""
        return self._source.overruns

    def start(self) -> None:
        """Start the threads. Raises StationError if one cannot be started, with the others ended."""
        started: list[threading.Thread] = []
        for thread in (*self._threads, *self._ejecting):
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:
                self._end(started)
                raise StationError(
                    f"the {thread.name} thread: cannot be started ({error}), expected room for {len(self._threads)} "
                    "threads; raise the limits of memory and tasks"
                ) from None
            started.append(thread)

    def stop(self) -> None:
        """Settle and report the open parts, send Offline to the PLC, end the threads."""
        self._end([*self._threads, *self._ejecting])

    def _end(self, started: Sequence[threading.Thread]) -> None:
        """End the threads that were started, in the order in which they feed each other."""
        self._source.stopping.set()
        line, *chain = self._threads
        if line in started:
            line.join()
        inboxes: list[queue.SimpleQueue[Any]] = [
            *self._source.inboxes,
            self._inference.inbox,
            self._reporter.parts,
        ]
        for inbox, thread in zip(inboxes, chain, strict=True):
            inbox.put(None)
            if thread in started:
                thread.join()
        if self._rejects.ejector is not None:
            self._rejects.ejector.stop()
            if self._ejecting[0] in started:
                self._ejecting[0].join()

    def use(self, inspector: Inspector, recipe: int = 0) -> None:
        """Change over to another bundle or engine, close the old one, and send Changeover to the PLC.

        recipe: the number that the PLC requested; 0 for a reload.
        """
        self._inference.use(inspector, recipe)

    def refuse_changeover(self, recipe: int, reason: str) -> None:
        """Refuse a changeover by a Fault message and an alarm of the same name; the bundle in use stays."""
        self._source.changing = False
        name = f"recipe {recipe} refused"
        if name in self._recipes_refused:  # an alarm is sent once, each request is answered
            self._link.send(Fault(FaultCode.BUNDLE, text=name))
        else:
            self._recipes_refused.append(name)
        while len(self._recipes_refused) > RECIPES_REFUSED:
            self.alarms.clear(self._recipes_refused.pop(0))
        self.alarms.raise_(name, f"{reason}; the bundle in use stays", Area.BUNDLE)
        self._send_recipe()

    def recipe_unusable(self, recipe: int, reason: str) -> None:
        """Raise the alarm about a recipe whose bundle cannot be opened, before the PLC asks for it."""
        self.alarms.raise_(f"recipe {recipe} unusable", f"{reason}; a changeover to it would be refused", Area.BUNDLE)

    def refuse_reload(self, reason: str) -> None:
        """Log a refused reload, each one, and raise its alarm; the next reload that succeeds clears it."""
        log.error("reload refused, the station continues unchanged: %s", reason)
        self.alarms.raise_(RELOAD_REFUSED, f"{reason}; the station continues unchanged", Area.BUNDLE)

    @property
    def pause(self) -> str:
        """Operator and reason of the pause, empty while the station inspects; while it is set, every part is FAULT."""
        return self._source.pause

    @pause.setter
    def pause(self, reason: str) -> None:
        self._source.pause = reason

    @property
    def stopping(self) -> bool:
        """True from the call of `stop`."""
        return self._source.stopping.is_set()

    def request_changeover(self, recipe: int) -> None:
        """Queue a changeover that another than the PLC requests; the recipe in use is no change."""
        if recipe != self.recipe or self._source.changing:
            self._source.changing = True
            self.changeovers.put(recipe)

    def _request_recipe(self, recipe: int) -> None:
        """Queue a changeover; 0 and the recipe in use are answered at once."""
        if recipe == 0 or (recipe == self._inference.recipe and not self._source.changing):
            self._send_recipe()
        else:
            self._source.changing = True
            self.changeovers.put(recipe)

    def _send_recipe(self) -> None:
        self._link.send(Changeover(self._inference.recipe, self.bundle.id))

    def _changed_over(self, inspector: Inspector, recipe: int) -> None:
        self._source.changing = False
        for name in (RELOAD_REFUSED, f"recipe {recipe} unusable", *self._recipes_refused):
            self.alarms.clear(name)
        self._recipes_refused.clear()
        self._send_recipe()

    def close_inspector(self) -> None:
        """Close the engine in use; call it after `stop`."""
        self._inference.inspector.engine.close()

    @property
    def alive(self) -> bool:
        """True while every thread of the pipeline runs, and the one that writes the rows."""
        failed = self.failure or self.records.failure
        return failed is None and all(thread.is_alive() for thread in (*self._threads, *self._ejecting))

    @property
    def threads(self) -> dict[str, bool]:
        """Whether each thread runs, by name; `records` writes the rows."""
        running = {thread.name: thread.is_alive() for thread in (*self._threads, *self._ejecting)}
        return {**running, "records": self.records.failure is None}

    def _thread(self, name: str, loop: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=self._guard, args=(loop,), name=name)

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:  # the outermost loop of a thread: it must not end silently
            self._fail(threading.current_thread().name, error)

    def _fail(self, name: str, error: BaseException) -> None:
        """Stop the station after the failure of a thread; the open parts and all further ones are FAULT."""
        log.error("the %s thread failed; the station stops", name, exc_info=error)
        self.failure = error
        found = f"the {name} thread failed ({type(error).__name__}: {error})"
        self._source.fail(found)
        self.finished.set()
        self.alarms.raise_(f"{name} thread", f"{found}; the station stops, every part is FAULT: send in the log above")

    # line

    def _line(self) -> None:
        while not self._source.stopping.is_set():
            self._serve()
        while self.tally.reported < self._source.triggers and self._threads[-1].is_alive():
            self._serve()
        last_moment = self.clock() + DELIVERY_S
        while self._reporter.in_flight and self.clock() < last_moment:
            self._serve()
        self._link.go_offline("stopped")
        self._link.poll(POLL_S)

    def _serve(self) -> None:
        self._health.check()
        self._rejects.check()
        self._send_alarms()
        for event in self._link.poll(POLL_S):
            self._handle(event)

    def _send_alarms(self) -> None:
        alarms, now = to_alarms(self.alarms.active), self.clock()
        if alarms != self._alarms_sent or now >= self._alarms_at:
            self._alarms_sent, self._alarms_at = alarms, now + ALARMS_S
            self._link.send(alarms)

    def _send_fault(self, alarm: Alarm, raised: bool) -> None:
        if raised:
            self._link.send(to_fault(alarm))

    def _handle(self, event: Event) -> None:
        self._health.handle(event)
        if isinstance(event, Trigger):
            self._source.triggered(event.part_id, event.encoder, event.age_s, event.recipe)
        elif isinstance(event, BeltPosition):
            self._rejects.belt_at(event.encoder, event.arrived)
        elif isinstance(event, (HelloReceived, PeerBack, PeerLost, PortLost)):
            self._rejects.connected(isinstance(event, (HelloReceived, PeerBack)), isinstance(event, HelloReceived))
            self._log(event)
            if isinstance(event, HelloReceived) and self._inference.recipe:
                self._send_recipe()
        elif isinstance(event, Fault):
            if event.code is FaultCode.OUTPUT:
                self._rejects.unconfirmed(event.part_id)
        elif isinstance(event, Changeover):
            self._request_recipe(event.recipe)
        elif isinstance(event, (Acknowledged, Undelivered)):
            self._reporter.delivered(event.message, isinstance(event, Acknowledged))
        elif isinstance(event, Counters):
            log.debug("line: %s", event_text(event))
        elif not isinstance(event, Message) or isinstance(event, (Offline, Settings)):
            self._log(event)

    def _log(self, event: Event) -> None:
        log.info("line: %s", event_text(event), extra={"kind": type(event).__name__})
