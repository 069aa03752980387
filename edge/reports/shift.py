"""Shift report: what a station inspected, rejected and missed in a period, read from its records.

Every figure is summed by the database; in memory are the sums, the latencies and a bounded number of examples.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bundle import Verdict
from edge.errors import RecordsError
from edge.monitoring.verdict_rates import NOT_INSPECTED
from edge.records.database import reading, version_of
from edge.records.summary import latencies_ms
from edge.review.marks import StoredMark, latest_of

TREND_BARS = 48
"""Bars of the trend, at most."""
BAR_STEPS_MIN = (5, 10, 15, 30, 60, 120, 240, 720, 1440)
"""Widths of a bar of the trend."""
PICTURES = 3
"""Pictures of each class and of each kind of mistake, at most: the latest."""
MOST_MISTAKES = 200
"""Marked mistakes that are listed, at most; all are counted."""
STOPPING_AREAS = ("camera", "engine", "link", "pause")
"""Areas of alarms while which parts are not inspected."""
EARLIEST_VERSION = 5
"""Of the records; earlier ones have no pauses."""


@dataclass(frozen=True)
class ParetoRow:
    """Rejects of one class, by the strongest defect of each part."""

    class_name: str
    parts: int
    share: float
    """Of all rejects with a class, 0 to 1."""
    summed: float
    """Share of this class and those before it."""
    pictures: tuple[str, ...]
    """Names in the folder of pictures, the latest first."""


@dataclass(frozen=True)
class TrendBar:
    """Parts of one bar of the trend."""

    time: datetime
    parts: int
    rejects: int


@dataclass(frozen=True)
class Downtime:
    """One cause for which the station stood or called for help."""

    cause: str
    times: int
    minutes: float
    """Within the period; causes may overlap."""
    stops: bool
    """Whether parts were not inspected."""


@dataclass(frozen=True)
class Mistake:
    """A part whose verdict a person has called wrong."""

    kind: str
    """`missed`, `false reject` or `wrong class`."""
    row: int
    part_id: int
    time: datetime
    """Of the part."""
    verdict: str
    class_name: str
    """Of the station; empty without one."""
    mark: StoredMark
    picture: str | None


@dataclass(frozen=True)
class ChallengeRow:
    """One challenge with known bad parts."""

    time: datetime
    who: str
    result: str
    found: str


@dataclass(frozen=True)
class ShiftReport:
    """All figures of a period."""

    since: datetime
    until: datetime
    verdicts: dict[str, int]
    """Parts by verdict, known bad parts of challenges left out."""
    told_otherwise: int
    """Parts whose verdict the PLC was not told (shadow mode)."""
    bundles: dict[str, int]
    """Parts by the id of the bundle."""
    pareto: tuple[ParetoRow, ...]
    trend: tuple[TrendBar, ...]
    bar_minutes: int
    latency: dict[str, tuple[float, ...]]
    """Percentiles by stage; see `latencies_ms`."""
    downtime: tuple[Downtime, ...]
    drift: tuple[Downtime, ...]
    """Alarms of the drift monitoring."""
    stopped_minutes: float
    """Union of the times in which parts were not inspected, as far as alarms and pauses say."""
    marked: dict[str, int]
    """Marked parts by what the marks say: right, missed, false reject, wrong class, unclear."""
    mistakes: tuple[Mistake, ...]
    """The latest ones."""
    challenges: tuple[ChallengeRow, ...]

    @property
    def parts(self) -> int:
        """Number of parts."""
        return sum(self.verdicts.values())

    @property
    def rejects(self) -> int:
        """Number of parts that were not OK."""
        return self.parts - self.verdicts.get(Verdict.OK.name, 0)


def shift_report(records: Path, since: datetime, until: datetime) -> ShiftReport:
    """Read the figures of the parts that were triggered from `since` on and before `until`, both aware.

    Raises RecordsError.
    """
    with reading(records) as connection:
        if (version := version_of(connection)) < EARLIEST_VERSION:
            raise RecordsError(
                f"records {records}: found version {version}, expected at least {EARLIEST_VERSION}; "
                "start the station once with this edge-inspect"
            )
        period = _Period(connection, since, until)
        marked, mistakes = period.mistakes()
        bar_minutes = _bar_minutes(until - since)
        spans = list(period.spans())
        first, last = period.rows()
        return ShiftReport(
            since=since,
            until=until,
            verdicts={Verdict(number).name: count for number, count in period.counts("verdict")},
            told_otherwise=period.told_otherwise(),
            bundles=dict(period.counts("bundle_id")),
            pareto=period.pareto(),
            trend=period.trend(bar_minutes),
            bar_minutes=bar_minutes,
            latency=latencies_ms(records, first, last) if first else {},
            downtime=_summed(span for span in spans if span.area != DRIFT),
            drift=_summed(span for span in spans if span.area == DRIFT),
            stopped_minutes=_union_minutes([span for span in spans if span.stops]),
            marked=marked,
            mistakes=mistakes,
            challenges=period.challenges(),
        )


DRIFT = "drift"
"""Area of the alarms of the drift monitoring."""
_NOT_OK = f"verdict <> {Verdict.OK.value}"


@dataclass(frozen=True)
class _Span:
    """An alarm or a pause within the period."""

    cause: str
    area: str
    stops: bool
    began: datetime
    ended: datetime


class _Period:
    """Queries of the records between two times."""

    def __init__(self, connection: sqlite3.Connection, since: datetime, until: datetime) -> None:
        self._connection, self._since, self._until = connection, since, until
        self._bounds = _stored(since), _stored(until)

    def counts(self, column: str) -> list[tuple[Any, int]]:
        query = f"SELECT {column}, count(*) FROM parts WHERE {_IN_PERIOD} GROUP BY 1 ORDER BY 2 DESC"
        return self._connection.execute(query, self._bounds).fetchall()

    def told_otherwise(self) -> int:
        query = f"SELECT count(*) FROM parts WHERE {_IN_PERIOD} AND told <> verdict"
        return int(self._connection.execute(query, self._bounds).fetchone()[0])

    def rows(self) -> tuple[int, int]:
        query = "SELECT coalesce(min(number), 0), coalesce(max(number), 0) FROM parts WHERE time >= ? AND time < ?"
        first, last = self._connection.execute(query, self._bounds).fetchone()
        return int(first), int(last)

    def pareto(self) -> tuple[ParetoRow, ...]:
        query = f"""
            SELECT class, count(*) FROM parts WHERE {_IN_PERIOD} AND {_NOT_OK} AND class IS NOT NULL
            GROUP BY 1 ORDER BY 2 DESC, 1"""
        rows = self._connection.execute(query, self._bounds).fetchall()
        whole, summed = sum(count for _, count in rows), 0
        found = []
        for name, count in rows:
            summed += count
            found.append(ParetoRow(name, count, count / whole, summed / whole, self._pictures(name)))
        return tuple(found)

    def _pictures(self, class_name: str) -> tuple[str, ...]:
        query = f"""
            SELECT picture FROM parts JOIN views ON part = parts.number
            WHERE {_IN_PERIOD} AND {_NOT_OK} AND class = ? AND picture IS NOT NULL
            ORDER BY parts.time DESC, views.rowid LIMIT {PICTURES}"""
        return tuple(name for (name,) in self._connection.execute(query, (*self._bounds, class_name)))

    def trend(self, bar_minutes: int) -> tuple[TrendBar, ...]:
        start = self._since.timestamp()
        query = f"""
            SELECT CAST((julianday(time) - 2440587.5) * 86400.0 - ? AS INTEGER) / ?, count(*), sum({_NOT_OK})
            FROM parts WHERE {_IN_PERIOD} GROUP BY 1"""
        rows = self._connection.execute(query, (start, 60 * bar_minutes, *self._bounds)).fetchall()
        counted = {place: (parts, rejects) for place, parts, rejects in rows}
        bars = -(-int((self._until - self._since).total_seconds()) // (60 * bar_minutes))
        return tuple(
            TrendBar(self._since + timedelta(minutes=bar_minutes * place), *counted.get(place, (0, 0)))
            for place in range(max(1, bars))
        )

    def spans(self) -> Iterator[_Span]:
        """Alarms and pauses, cut at the ends of the period."""
        since, until = self._bounds
        query = """
            SELECT name, area, began, ended FROM alarms WHERE began < ? AND (ended IS NULL OR ended > ?)
            UNION ALL
            SELECT 'paused: ' || reason, 'pause', began, ended FROM pauses
            WHERE began IS NOT NULL AND began < ? AND (ended IS NULL OR ended > ?)"""
        for name, area, began, ended in self._connection.execute(query, (until, since, until, since)):
            start = max(datetime.fromisoformat(began), self._since)
            end = min(datetime.fromisoformat(ended), self._until) if ended else self._until
            if name != "paused":  # its row of the pauses has the reason
                yield _Span(name, area, area in STOPPING_AREAS or name in NOT_INSPECTED, start, end)

    def mistakes(self) -> tuple[dict[str, int], tuple[Mistake, ...]]:
        """Count the marked parts, and return those whose verdict was wrong."""
        query = f"""
            SELECT number, part_id, time, verdict, coalesce(class, ''),
                   (SELECT max(picture) FROM views WHERE part = parts.number AND picture IS NOT NULL)
            FROM parts WHERE {_IN_PERIOD} AND number IN (SELECT part FROM marks) ORDER BY time DESC"""
        counted: dict[str, int] = {}
        found: list[Mistake] = []
        for number, part_id, time, verdict, name, picture in self._connection.execute(query, self._bounds):
            (mark,) = latest_of(self._connection, (number,))
            kind = kind_of(Verdict(verdict), name, mark)
            counted[kind] = counted.get(kind, 0) + 1
            if kind not in (RIGHT, UNCLEAR) and len(found) < MOST_MISTAKES:
                at = datetime.fromisoformat(time)
                found.append(Mistake(kind, number, part_id, at, Verdict(verdict).name, name, mark, picture))
        return counted, tuple(found)

    def challenges(self) -> tuple[ChallengeRow, ...]:
        query = "SELECT time, who, result, found FROM challenges WHERE time >= ? AND time < ? ORDER BY time"
        rows = self._connection.execute(query, self._bounds)
        return tuple(ChallengeRow(datetime.fromisoformat(time), *rest) for time, *rest in rows)


_IN_PERIOD = "parts.time >= ? AND parts.time < ? AND challenge IS NULL"
RIGHT, UNCLEAR, MISSED, FALSE_REJECT, WRONG_CLASS = "right", "unclear", "missed", "false reject", "wrong class"
"""Results of the comparison of a verdict with a mark."""


def kind_of(verdict: Verdict, class_name: str, stored: StoredMark) -> str:
    """Compare a verdict with a mark. A class is wrong if the part's marked defects do not include it."""
    truth, classes = stored.mark.truth, {defect.class_name for defect in stored.mark.defects}
    if truth == "unclear":
        return UNCLEAR
    if truth == "good":
        return RIGHT if verdict is Verdict.OK else FALSE_REJECT
    if verdict is Verdict.OK:
        return MISSED
    return RIGHT if class_name in classes or not class_name else WRONG_CLASS


def _stored(at: datetime) -> str:
    """Time in the format of the rows."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def _bar_minutes(period: timedelta) -> int:
    """Smallest width with which the trend has at most `TREND_BARS` bars."""
    minutes = period.total_seconds() / 60
    widths = (width for width in BAR_STEPS_MIN if minutes / width <= TREND_BARS)
    return next(widths, int(-(-minutes // TREND_BARS)))


def _summed(spans: Iterable[_Span]) -> tuple[Downtime, ...]:
    """Sum the spans by their cause, the longest first."""
    found: dict[tuple[str, bool], list[float]] = {}
    for span in spans:
        found.setdefault((span.cause, span.stops), []).append((span.ended - span.began).total_seconds() / 60)
    rows = (Downtime(cause, len(minutes), sum(minutes), stops) for (cause, stops), minutes in found.items())
    return tuple(sorted(rows, key=lambda row: (-row.stops, -row.minutes, row.cause)))


def _union_minutes(spans: Sequence[_Span]) -> float:
    """Length of the union of some spans."""
    total, reached = timedelta(), None
    for span in sorted(spans, key=lambda span: span.began):
        start = span.began if reached is None or span.began > reached else reached
        if span.ended > start:
            total += span.ended - start
            reached = span.ended
    return total.total_seconds() / 60
