"""The end of the chain: each part's verdict in its turn, its row, its result, and what became of it on the wire."""

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
from edge.part import Part
from edge.pipeline.plc_messages import to_result
from edge.records.writer import PendingWrite, Records
from firmware_bridge.link import Link
from firmware_bridge.messages import Message, Result

log = logging.getLogger(__name__)

REJECTS = "rejects in a row"
"""Name of the alarm that a good part ends."""


@dataclass
class Tally:
    """What has been reported since the start."""

    reported: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    acknowledged: int = 0
    undelivered: int = 0


class Reporter:
    """Reports parts in the order of their triggers, each at its deadline at the latest.

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
        self.tally = Tally()
        self.watchers: list[Callable[[Part], None]] = []
        """Who looks at each part once its result is sent; quick, or it delays the next result."""
        self._records, self._link, self._line, self._clock = records, link, line, clock
        self._alarms, self._rejects, self._rejects_in_a_row = alarms, rejects, 0
        self._rows: dict[int, PendingWrite] = {}  # by number, of parts that are settled and not yet reported
        self._in_flight: list[Part] = []  # from just before the sending until the link says what became of it
        self._in_flight_lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """Results of which the link has not yet said what became of them."""
        return len(self._in_flight)

    def run(self) -> None:
        """Report until the inbox is closed."""
        for part in iter(self.parts.get, None):
            if not part.wait(part.deadline - self._clock()):
                part.settle_late()
            self._report(part)
            self.tally.reported += 1

    def record(self, part: Part) -> None:
        """Hand over the row of a part that has just been settled, in the thread that settled it."""
        part.told = Verdict.OK if self._line.shadow else None
        part.stamps["recorded"] = self._clock()
        self._rows[part.number] = self._records.begin(part)

    def delivered(self, message: Message, arrived: bool) -> None:
        """Learn from the link that a message arrived, or was given up."""
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
        self._rows.pop(part.number).wait(self._line.record_wait_s)  # may make a FAULT of it
        if part.outcome is None:
            raise ValueError(f"part {part.number} has no verdict yet")
        part.told = part.told or part.outcome.verdict
        self._rejects.reported(part, part.told is Verdict.OK)
        self.tally.verdicts[part.outcome.verdict] += 1
        if self._line.report == "all" or part.told is not Verdict.OK:
            self._send(part)
        self._watch_rejects(part, part.outcome.verdict)
        for watcher in tuple(self.watchers):
            self._show(part, watcher)

    def _send(self, part: Part) -> None:
        with self._in_flight_lock:
            self._in_flight.append(part)
        self._link.send(to_result(part, self._clock()))
        part.stamps["sent"] = self._clock()

    def _show(self, part: Part, watcher: Callable[[Part], None]) -> None:
        try:
            watcher(part)
        except Exception:  # nothing that only looks on may stop the line
            log.exception("%s failed and looks at no further part", watcher)
            self.watchers.remove(watcher)

    def _watch_rejects(self, part: Part, verdict: Verdict) -> None:
        """Raise the alarm when as many parts in a row were rejected as the line finds suspicious, then count anew."""
        self._rejects_in_a_row = 0 if verdict is Verdict.OK else self._rejects_in_a_row + 1
        if self._rejects_in_a_row and self._rejects_in_a_row == self._line.alarm_after_rejects:
            found = f"found {self._rejects_in_a_row} up to part {part.part_id}; look at the parts, lamp and camera"
            self._alarms.raise_(REJECTS, found, part_id=part.part_id)
            self._rejects_in_a_row = 0
        elif verdict is Verdict.OK:
            self._alarms.clear(REJECTS)
