"""A challenge with known bad parts: when it is due, and whether the station finds them. No clock, no thread."""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo

from pydantic import Field, field_validator, model_validator

from bundle import Verdict
from edge.config.schema import Table
from edge.part import Part


class ChallengeSettings(Table):
    """Challenges with a known bad part, the table `[challenge]`: the station asks for one, an operator starts it by
    `edge-inspect challenge line.toml` and puts the part on the line, which has to be found."""

    every_hours: float | None = Field(default=None, gt=0, le=8760)
    """The station asks so long after the last challenge that was passed."""
    at: tuple[str, ...] = ()
    """The station asks at these times of day, local: `["06:00", "14:00", "22:00"]` for shifts. In place of
    `every_hours`; without both it never asks."""
    parts: int = Field(default=1, ge=1, le=100)
    """Known bad parts in a challenge: so many parts, the next ones, all have to be NG."""
    expected: str | None = Field(default=None, min_length=1)
    """Class of defect that has to be found in each; left out, any will do."""
    overdue_minutes: float = Field(default=30, ge=0, le=10_000)
    """A challenge that has not been passed so long after it was asked for is an alarm."""
    timeout_minutes: float = Field(default=10, gt=0, le=10_000)
    """A challenge whose parts have not come so long after its start is given up."""

    @field_validator("at")
    @classmethod
    def _times(cls, at: tuple[str, ...]) -> tuple[str, ...]:
        for text in at:
            try:
                datetime.strptime(text, "%H:%M")
            except ValueError:
                raise ValueError(f"found {text!r}, expected a time of day such as 06:00") from None
        return at

    @model_validator(mode="after")
    def _one_of_each(self) -> "ChallengeSettings":
        if self.every_hours is not None and self.at:
            raise ValueError("found every_hours and at, expected one of them")
        return self


def asked_since(
    settings: ChallengeSettings, passed: datetime | None, began: datetime, now: datetime, zone: tzinfo | None = None
) -> datetime | None:
    """Return since when a challenge is due, None if none is.

    All times are aware. passed: when the last one was; began: when the station started, before which it asked nobody;
    zone: of `at`, None for this computer's.
    """
    if settings.every_hours is not None:
        due = began if passed is None else passed + timedelta(hours=settings.every_hours)
        return max(due, began) if due <= now else None
    occurred = _last_occurrence([time.fromisoformat(text) for text in settings.at], now.astimezone(zone))
    if occurred is None or (passed is not None and passed >= occurred):
        return None
    return max(occurred, began)


def _last_occurrence(times: list[time], local: datetime) -> datetime | None:
    days = (local.date(), local.date() - timedelta(days=1))
    moments = [datetime.combine(day, moment, local.tzinfo) for day in days for moment in times]
    return max((moment for moment in moments if moment <= local), default=None)


@dataclass
class Challenge:
    """One that is under way: the next parts behind row `after` have to be found."""

    number: int
    """Row in the records."""
    parts: int
    expected: str | None
    after: int
    began: datetime
    found: list[str] = field(default_factory=list)
    """Verdict and class of each part so far."""
    _bad: int = 0

    def add(self, part: Part) -> bool:
        """Take a part that has been judged; false if it is none of the challenge's."""
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
