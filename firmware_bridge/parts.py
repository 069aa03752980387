"""Part table of a reject controller: triggered, answered, passed or rejected."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from firmware_bridge.messages import Result, Trigger, Verdict


class PartFate(Enum):
    """Fate of a part; WAITING ends at its deadline at the latest."""

    WAITING = "waiting"
    PASSED = "passed"
    REJECTED = "rejected"


@dataclass
class PartRecord:
    """One part, from its trigger on; times in seconds of the controller's clock."""

    trigger: Trigger
    triggered_s: float
    answered_s: float | None = None
    result: Result | None = None
    decision: PartFate = PartFate.WAITING

    @property
    def verdict(self) -> Verdict:
        """The verdict that arrived, NONE before that."""
        return self.result.verdict if self.result else Verdict.NONE

    @property
    def round_trip_s(self) -> float | None:
        """From the trigger to its result."""
        return None if self.answered_s is None else self.answered_s - self.triggered_s


@dataclass(frozen=True)
class Report:
    """The sums of a `Ledger`.

    `unanswered` parts were rejected by the watchdog; `late` results came after that, `foreign` ones match no part,
    `repeated` ones came for a part that had its result.
    """

    parts: int
    passed: int
    rejected: int
    unanswered: int
    late: int
    foreign: int
    repeated: int
    verdicts: dict[Verdict, int]
    round_trips_s: list[float]


@dataclass
class Ledger:
    """Parts of a line, each bad until an OK for its part id, encoder count and recipe comes before its deadline."""

    deadline_s: float
    records: dict[int, PartRecord] = field(default_factory=dict)  # by part id, in the order of the triggers
    late: int = 0
    foreign: int = 0
    repeated: int = 0
    _waiting: dict[int, PartRecord] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Parts that are neither passed nor rejected."""
        return len(self._waiting)

    def triggered(self, trigger: Trigger, now: float) -> None:
        """Enter a part."""
        self.records[trigger.part_id] = self._waiting[trigger.part_id] = PartRecord(trigger, now)

    def answered(self, result: Result, now: float) -> PartRecord | None:
        """Apply a result to its part; None where it changes nothing."""
        record = self.records.get(result.part_id)
        if record is None or record.trigger.encoder != result.encoder:
            self.foreign += 1
            return None
        if record.decision is not PartFate.WAITING:
            self.repeated += record.result is not None
            self.late += record.result is None
            return None
        record.result, record.answered_s = result, now
        as_asked = record.trigger.recipe in (0, result.recipe)
        passes = result.verdict is Verdict.OK and as_asked
        self._decide(record, PartFate.PASSED if passes else PartFate.REJECTED)
        return record

    def watch(self, now: float) -> list[PartRecord]:
        """Reject the parts whose deadline has passed, and return them."""
        overdue = [part for part in self._waiting.values() if now - part.triggered_s >= self.deadline_s]
        for record in overdue:
            self._decide(record, PartFate.REJECTED)
        return overdue

    def report(self) -> Report:
        """Sum up."""
        records = self.records.values()
        decisions = Counter(record.decision for record in records)
        return Report(
            parts=len(records),
            passed=decisions[PartFate.PASSED],
            rejected=decisions[PartFate.REJECTED],
            unanswered=sum(part.decision is PartFate.REJECTED and part.result is None for part in records),
            late=self.late,
            foreign=self.foreign,
            repeated=self.repeated,
            verdicts=dict(Counter(record.verdict for record in records)),
            round_trips_s=[part.round_trip_s for part in records if part.round_trip_s is not None],
        )

    def _decide(self, record: PartRecord, decision: PartFate) -> None:
        record.decision = decision
        del self._waiting[record.trigger.part_id]
