"""Challenge test with known bad parts: its schedule and its evaluation, without clock or thread."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from bundle import Verdict
from edge.config.challenge import ChallengeSettings
from edge.part import Part
from edge.wall_clock import latest_time_of_day


def due_since(
    settings: ChallengeSettings, passed: datetime | None, began: datetime, now: datetime, zone: tzinfo | None = None
) -> datetime | None:
    """Return the time since which a challenge is due; None if none is due.

    All times are aware. passed: end of the last passed challenge. began: start of the station; it is not due earlier.
    zone: time zone of `at`; None uses the computer's.
    """
    if settings.every_hours is not None:
        due = began if passed is None else passed + timedelta(hours=settings.every_hours)
        return max(due, began) if due <= now else None
    occurred = latest_time_of_day(now, settings.at, zone)
    if occurred is None or (passed is not None and passed >= occurred):
        return None
    return max(occurred, began)


@dataclass
class Challenge:
    """Running challenge: the next parts after row `after` must be rejected."""

    number: int
    """Row in the records."""
    parts: int
    expected: str | None
    after: int
    began: datetime
    found: list[str] = field(default_factory=list)
    """Verdict and classes of each part so far."""
    _bad: int = 0

    def add(self, part: Part) -> bool:
        """Evaluate a settled part; false if it does not belong to the challenge."""
        if part.number <= self.after or self.result is not None or part.outcome is None:
            return False
        classes = {defect.class_name for defect in part.outcome.defects}
        right = part.outcome.verdict is Verdict.NG and (self.expected is None or self.expected in classes)
        self._bad += right
        self.found.append(" ".join([part.outcome.verdict.name, *sorted(classes)]))
        return True

    @property
    def result(self) -> str | None:
        """`passed` or `failed`; None while parts are missing."""
        if self._bad < len(self.found):
            return "failed"
        return "passed" if len(self.found) == self.parts else None
