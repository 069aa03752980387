"""Reporter: writes each part's row, sends its result in the order of the triggers, and tracks its delivery."""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bundle import Verdict
from edge.alarms import Alarms
from edge.cameras.camera import Clock
from edge.config.line import Line
from edge.ejector.rejects import Rejects
from edge.part import Outcome, Part
from edge.pipeline.plc_messages import to_result
from edge.records.pending_write import PendingWrite
from edge.records.writer import Records
from firmware_bridge.link import Link
from firmware_bridge.messages import Message, Result

log = logging.getLogger(__name__)

REJECTS = "rejects in a row"
"""Name of the alarm for consecutive rejects; a good part clears it."""
WATCHER = "watcher of the parts"
"""Name of the alarm for drift, rates, pictures, challenges or page that no longer follow the parts."""


@dataclass
class ReportCounts:
    """Counters since the start."""

    reported: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    acknowledged: int = 0
    undelivered: int = 0


class Reporter:
    """Reports parts in the order of their triggers, each no later than its deadline.

    `run` is the body of a thread; `parts` is its inbox, which None closes.
    """

    def __init__(
        self,
        records: Records,
        link: Link,
        line: Line,
        clock: Clock,
        alarms: Alarms,
        rejects: Rejects,
    ) -> None:
        self.parts: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self.tally = ReportCounts()
        self.watchers: list[Callable[[Part], None]] = []
        """Callbacks that run after each result is sent; they must return quickly."""
        self._records, self._link, self._line, self._clock = records, link, line, clock
        self._alarms, self._rejects, self._rejects_in_a_row = alarms, rejects, 0
        self._alarm_part = 0  # id of the part with which the alarm about rejects began
        self._rows: dict[int, PendingWrite] = {}  # by number: parts that are settled, but not reported
        self._in_flight: list[Part] = []  # sent, until acknowledged or given up
        self._in_flight_lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """Number of results that are neither acknowledged nor given up."""
        return len(self._in_flight)

    def run(self) -> None:
        """Report until the inbox is closed."""
        for part in iter(self.parts.get, None):
            if not part.wait(part.deadline - self._clock()):
                part.settle_late()
            self._report(part)
            self.tally.reported += 1

    def record(self, part: Part) -> None:
        """Queue the row of a part; called by the thread that settles it."""
        part.told = Verdict.OK if self._line.shadow else None
        part.stamps["recorded"] = self._clock()
        self._rows[part.number] = self._records.begin(part)

    def delivered(self, message: Message, arrived: bool) -> None:
        """Record that the link has delivered a message, or given it up."""
        if not isinstance(message, Result):
            return
        with self._in_flight_lock:
            part = next((part for part in self._in_flight if part.part_id == message.part_id), None)
            if part is None:
                return
            self._in_flight.remove(part)
        if arrived:
            self.tally.acknowledged += 1
            part.stamps["acknowledged"] = self._clock()
        else:
            self.tally.undelivered += 1
        self._records.note_delivery(part, "acknowledged" if arrived else "undelivered")

    def _report(self, part: Part) -> None:
        self._records.wait(self._rows.pop(part.number), self._line.record_wait_s)  # may overrule the part
        if part.outcome is None:
            raise ValueError(f"part {part.number} has no verdict yet")
        part.told = part.told or part.outcome.verdict
        self._rejects.reported(part, part.told is Verdict.OK)
        self.tally.verdicts[part.outcome.verdict] += 1
        if self._line.report == "all" or part.told is not Verdict.OK:
            self._send(part)
        self._watch_rejects(part, part.outcome)
        for watcher in tuple(self.watchers):
            self._call(watcher, part)

    def _send(self, part: Part) -> None:
        with self._in_flight_lock:
            self._in_flight.append(part)
        self._link.send(to_result(part, self._clock(), self._line.shadow))
        part.stamps["sent"] = self._clock()

    def _call(self, watcher: Callable[[Part], None], part: Part) -> None:
        try:
            watcher(part)
        except Exception as error:  # the outermost loop of a watcher: its failure must not stop the line
            name = getattr(watcher, "__qualname__", type(watcher).__name__)
            log.exception("%s failed; it gets no further parts", name)
            self.watchers.remove(watcher)
            found = f"{name} failed ({type(error).__name__}: {error}) and gets no further parts"
            self._alarms.raise_(WATCHER, f"{found}; restart the station, send in the log", part_id=part.part_id)

    def _watch_rejects(self, part: Part, outcome: Outcome) -> None:
        """Raise the alarm after `alarm_after_rejects` consecutive rejects; its text has the count until a good part."""
        if outcome.verdict is Verdict.OK:
            self._rejects_in_a_row = 0
            self._alarms.clear(REJECTS)
        elif not outcome.paused:
            self._rejects_in_a_row += 1
            if self._rejects_in_a_row == self._line.alarm_after_rejects:
                self._alarm_part = part.part_id
            if 0 < self._line.alarm_after_rejects <= self._rejects_in_a_row:
                found = f"found {self._rejects_in_a_row} up to part {part.part_id}; check parts, lamp and camera"
                self._alarms.raise_(REJECTS, found, part_id=self._alarm_part)
