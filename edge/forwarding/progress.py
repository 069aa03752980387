"""Progress of a forwarder through the records: the highest row that was forwarded, and the gaps below it.

A row reaches the disk when its part settles, so rows arrive out of order. A missing row is waited for until one on disk
was triggered `GAP_S` later: the station writes rows in the order in which parts settle, so the missing one never comes.
"""

from datetime import datetime, timedelta
from functools import reduce
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

GAP_S = 120.0
"""Twice the longest deadline of a part."""
GAPS = 1000
"""Gaps that are remembered at most; beyond it the oldest are given up."""
GAP_NUMBERS = 100_000
"""Distance in rows after which a gap is given up, where a clock that was set back would keep it."""
ALARMS_OPEN = 200


class Gap(NamedTuple):
    """Rows that are not on disk yet, both ends included."""

    first: int
    last: int
    until: str
    """Trigger time of a later row that ends the waiting, UTC."""


class Progress(BaseModel):
    """Rows of one station's records that have been forwarded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    station: str
    first_row: str = ""
    """Number and time of the first row of the records, which tells one database from another; empty at the start."""
    last: int = 0
    """Highest number of a part that was forwarded."""
    gaps: tuple[Gap, ...] = ()
    alarms: int = 0
    """Highest number of an alarm that was forwarded."""
    alarms_open: tuple[int, ...] = ()
    """Alarms that were forwarded without their end."""

    def with_parts(self, rows: list[tuple[int, str]], ends_gaps: bool = True) -> "Progress":
        """Return the progress after these parts, number and trigger time, in the order of their numbers.

        ends_gaps: whether the gaps have been read to their ends, so that they may be given up.
        """
        after = reduce(Progress._with_part, rows, self)
        latest = max((_parsed(time) for _, time in rows), default=None) if ends_gaps else None
        kept = tuple(
            gap
            for gap in after.gaps[-GAPS:]
            if latest is None or (latest < _parsed(gap.until) and after.last - gap.last < GAP_NUMBERS)
        )
        return after.model_copy(update={"gaps": kept})

    def with_alarms(self, rows: list[tuple[int, bool]]) -> "Progress":
        """Return the progress after these alarms, number and whether it has ended."""
        ended = {number for number, over in rows if over}
        still_open = {*self.alarms_open, *(number for number, _ in rows)} - ended
        highest = max([self.alarms, *(number for number, _ in rows)])
        return self.model_copy(update={"alarms": highest, "alarms_open": tuple(sorted(still_open)[-ALARMS_OPEN:])})

    def _with_part(self, row: tuple[int, str]) -> "Progress":
        number, time = row
        if number > self.last:
            until = (_parsed(time) + timedelta(seconds=GAP_S)).isoformat(timespec="milliseconds")
            gap = (Gap(self.last + 1, number - 1, until),) if number > self.last + 1 else ()
            return self.model_copy(update={"last": number, "gaps": (*self.gaps, *gap)})
        gaps = (piece for gap in self.gaps for piece in _without(gap, number))
        return self.model_copy(update={"gaps": tuple(gaps)})


def _without(gap: Gap, number: int) -> list[Gap]:
    if not gap.first <= number <= gap.last:
        return [gap]
    pieces = (Gap(gap.first, number - 1, gap.until), Gap(number + 1, gap.last, gap.until))
    return [piece for piece in pieces if piece.first <= piece.last]


def _parsed(time: str) -> datetime:
    return datetime.fromisoformat(time)
