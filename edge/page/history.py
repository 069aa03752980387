"""History of the page: verdicts per minute for a day, the latest parts and their pictures."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from datetime import datetime, timezone
from math import ceil

from bundle import Verdict
from edge.page.state import ChartBar, Latency, VerdictCount
from edge.servers.state import PartState

MINUTE_S = 60
KEPT_MINUTES = 25 * 60
"""One day, and one hour more for the change from daylight saving time."""
LATENCIES = 1000
REJECTS = 12
PICTURED = REJECTS + 8
"""Parts whose pictures are kept: the shown rejects and the latest parts."""
GOOD = Verdict.OK.name
PAUSED = "PAUSED"
"""Counted in place of FAULT for a part of an operator's pause, which says nothing of the parts."""


class History:
    """One day of verdicts in bounded memory. Used by one thread at a time."""

    def __init__(self) -> None:
        self.last: PartState | None = None
        self.rejects: deque[PartState] = deque(maxlen=REJECTS)
        """The latest ones, the newest last."""
        self._minutes: OrderedDict[int, Counter[str]] = OrderedDict()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._stored: dict[int, tuple[str, ...]] = {}
        self._pictures: OrderedDict[int, dict[str, bytes]] = OrderedDict()

    def add(self, parts: Iterable[PartState]) -> None:
        """Add reported parts in order."""
        for part in parts:
            self.count(part.time, PAUSED if part.paused else part.verdict)
            self.last = part
            if part.verdict != GOOD and not part.paused:
                self.rejects.append(part)
            if part.latency_ms is not None:
                self._latencies.append(part.latency_ms)

    def count(self, at: datetime, verdict: str, parts: int = 1) -> None:
        """Add the verdict of `parts` parts, or PAUSED, to the minute of `at`."""
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

    def recall_rejects(self, parts: Iterable[tuple[PartState, tuple[str, ...]]]) -> None:
        """Put earlier rejects, the oldest first, before those to come; each with the cameras of its stored pictures."""
        latest = [*parts][-REJECTS:]
        self.rejects.extend(part for part, _ in latest)
        self._stored = {part.number: cameras for part, cameras in latest}

    def stored(self, number: int) -> tuple[str, ...]:
        """Return the cameras with a stored picture of a recalled reject."""
        return self._stored.get(number, ())

    def since(self, start: datetime, now: datetime) -> VerdictCount:
        """Count the parts from `start`, a whole minute, to `now`."""
        first, last = (int(at.timestamp()) // MINUTE_S for at in (start, now))
        verdicts: Counter[str] = Counter()
        for minute, counts in self._minutes.items():
            if first <= minute <= last:
                verdicts.update(counts)
        paused = verdicts.pop(PAUSED, 0)
        parts, passed = verdicts.total(), verdicts[GOOD]
        yield_percent = 100 * passed / parts if parts else None
        return VerdictCount(
            since=start,
            parts=parts,
            passed=passed,
            paused=paused,
            verdicts=dict(verdicts),
            yield_percent=yield_percent,
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
                parts=counts.total() - counts[PAUSED],
                rejects=counts.total() - counts[GOOD] - counts[PAUSED],
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
