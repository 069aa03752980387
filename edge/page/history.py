"""History of the page: verdicts per minute for a day, the latest parts and their pictures; queries of the records."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from math import ceil
from pathlib import Path

from bundle import Verdict
from edge.page.state import ChartBar, DefectState, Latency, PartState, VerdictCount
from edge.records.database import reading

MINUTE_S = 60
KEPT_MINUTES = 25 * 60
"""One day, and one hour more for the change from daylight saving time."""
LATENCIES = 1000
REJECTS = 12
PICTURED = REJECTS + 8
"""Parts whose pictures are kept: the shown rejects and the latest parts."""
GOOD = Verdict.OK.name
LAST_ROW = 2**62
"""More than any row's number."""
_COLUMNS = "number, time, part_id, verdict, told, fault, sent_us, bundle_id"


class History:
    """One day of verdicts in bounded memory. Used by one thread at a time."""

    def __init__(self) -> None:
        self.last: PartState | None = None
        self.rejects: deque[PartState] = deque(maxlen=REJECTS)
        """The latest ones, the newest last."""
        self._minutes: OrderedDict[int, Counter[str]] = OrderedDict()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._pictures: OrderedDict[int, dict[str, bytes]] = OrderedDict()

    def add(self, parts: Iterable[PartState]) -> None:
        """Add reported parts in order."""
        for part in parts:
            self.count(part.time, part.verdict)
            self.last = part
            if part.verdict != GOOD:
                self.rejects.append(part)
            if part.latency_ms is not None:
                self._latencies.append(part.latency_ms)

    def count(self, at: datetime, verdict: str, parts: int = 1) -> None:
        """Add the verdict of `parts` parts to the minute of `at`."""
        minute = int(at.timestamp()) // MINUTE_S
        self._minutes.setdefault(minute, Counter())[verdict] += parts
        while len(self._minutes) > KEPT_MINUTES:
            self._minutes.popitem(last=False)

    def picture(self, number: int, camera: str) -> bytes | None:
        """Return the picture of a view; None if it is not available."""
        return self._pictures.get(number, {}).get(camera)

    def keep_picture(self, number: int, camera: str, content: bytes) -> None:
        """Store the picture of a view; pictures that are not shown are dropped first."""
        self._pictures.setdefault(number, {})[camera] = content
        while len(self._pictures) > PICTURED:
            shown = {part.number for part in self.rejects}
            del self._pictures[next(known for known in self._pictures if known not in shown)]

    def cameras(self, number: int) -> tuple[str, ...]:
        """Return the cameras with a picture of this part."""
        return tuple(self._pictures.get(number, ()))

    def since(self, start: datetime, now: datetime) -> VerdictCount:
        """Count the parts from `start`, a whole minute, to `now`."""
        first, last = (int(at.timestamp()) // MINUTE_S for at in (start, now))
        verdicts: Counter[str] = Counter()
        for minute, counts in self._minutes.items():
            if first <= minute <= last:
                verdicts.update(counts)
        parts, passed = verdicts.total(), verdicts[GOOD]
        yield_percent = 100 * passed / parts if parts else None
        return VerdictCount(
            since=start, parts=parts, passed=passed, verdicts=dict(verdicts), yield_percent=yield_percent
        )

    def buckets(self, now: datetime, minutes: int, bars: int) -> list[ChartBar]:
        """Count parts and rejects of the last `minutes` in `bars` bars of whole minutes each, the oldest first."""
        width = max(1, ceil(minutes / bars))
        last = int(now.timestamp()) // MINUTE_S // width
        summed: dict[int, Counter[str]] = {bar: Counter() for bar in range(last - minutes // width + 1, last + 1)}
        for minute, counts in self._minutes.items():
            if minute // width in summed:
                summed[minute // width].update(counts)
        return [
            ChartBar(
                time=datetime.fromtimestamp(bar * width * MINUTE_S, timezone.utc),
                parts=counts.total(),
                rejects=counts.total() - counts[GOOD],
            )
            for bar, counts in summed.items()
        ]

    def latency(self) -> Latency | None:
        """Return latency percentiles of the latest parts; None before the first."""
        times = sorted(self._latencies)
        if not times:
            return None

        def percentile(share: float) -> float:
            return times[min(len(times) - 1, ceil(share * len(times)) - 1)]

        return Latency(parts=len(times), p50_ms=percentile(0.5), p99_ms=percentile(0.99), worst_ms=times[-1])


def recall(history: History, records: Path, next_number: int, now: datetime) -> None:
    """Load the verdicts of the last day from the records, for a restarted page.

    Raises RecordsError.
    """
    since, until = (at.isoformat(timespec="milliseconds") for at in (now - timedelta(minutes=KEPT_MINUTES), now))
    query = """
        SELECT substr(time, 1, 16), verdict, count(*) FROM parts
        WHERE number < ? AND number >= (SELECT number FROM parts WHERE time >= ? ORDER BY time LIMIT 1)
          AND time BETWEEN ? AND ?
        GROUP BY 1, 2 ORDER BY 1"""
    if not records.is_file():
        return
    with reading(records) as connection:
        for minute, verdict, parts in connection.execute(query, (next_number, since, since, until)):
            history.count(datetime.fromisoformat(f"{minute}+00:00"), Verdict(verdict).name, parts)


def parts_before(
    records: Path, before: int | None, limit: int, verdict: str | None = None, part_id: int | None = None
) -> list[PartState]:
    """Give the parts in rows before `before` (None: the latest), the newest first; raises RecordsError.

    verdict, part_id: those with this verdict or the PLC's id alone.
    """
    wanted = {
        "number < ?": before or LAST_ROW,
        "verdict = ?": None if verdict is None else int(Verdict[verdict]),
        "part_id = ?": part_id,
    }
    chosen = {condition: value for condition, value in wanted.items() if value is not None}
    query = f"SELECT {_COLUMNS} FROM parts WHERE {' AND '.join(chosen)} ORDER BY number DESC LIMIT ?"
    with reading(records) as connection:
        rows = connection.execute(query, (*chosen.values(), limit)).fetchall()
        found: dict[int, list[DefectState]] = {row[0]: [] for row in rows}
        marks = ", ".join("?" * len(found))
        defects = f"SELECT part, class, score, area_px, camera FROM defects WHERE part IN ({marks}) ORDER BY score DESC"
        for number, name, score, area_px, camera in connection.execute(defects, tuple(found)):
            found[number].append(DefectState(class_name=name, score=score, area_px=area_px, camera=camera))
    return [
        PartState(
            number=number,
            time=datetime.fromisoformat(time),
            part_id=part_id,
            verdict=Verdict(given).name,
            told=Verdict(told).name,
            defects=tuple(found[number]),
            fault=fault,
            latency_ms=None if sent_us is None else sent_us / 1e3,
            bundle_id=bundle_id,
        )
        for number, time, part_id, given, told, fault, sent_us, bundle_id in rows
    ]
