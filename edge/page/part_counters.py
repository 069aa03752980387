"""Counters of the reported parts for Prometheus: latency histograms by stage, defective parts by class and camera."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from edge.servers.state import PartState

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the buckets; a last bucket has no bound."""
BucketsAndSum = tuple[list[tuple[str, float]], float]
"""As `HistogramMetricFamily` takes them."""


class LatencyHistogram:
    """Histogram of the latency of one stage, or of whole parts."""

    def __init__(self) -> None:
        self._sum_s = 0.0
        self._counts = [0] * (len(BOUNDS_S) + 1)

    def add(self, latency_s: float) -> None:
        """Count one part."""
        self._sum_s += latency_s
        self._counts[bisect_left(BOUNDS_S, latency_s)] += 1

    def read(self) -> BucketsAndSum:
        """Return upper bound and number of parts at or below it, the last without a bound, and the sum in seconds."""
        names = (*(str(bound) for bound in BOUNDS_S), "+Inf")
        return [(name, float(sum(self._counts[: place + 1]))) for place, name in enumerate(names)], self._sum_s


class PartCounters:
    """Counters since the start of the page. Used by one thread at a time."""

    def __init__(self) -> None:
        self.latency = LatencyHistogram()
        """From the trigger to the sent result."""
        self.stages: dict[str, LatencyHistogram] = {}
        """By stage, each from the end of the stage before."""
        self.defective: Counter[tuple[str, str, str]] = Counter()
        """Parts by verdict, class and camera; a part counts once for each class that a camera saw."""

    def add(self, parts: Iterable[PartState]) -> None:
        """Count reported parts."""
        for part in parts:
            before_ms = 0.0
            for stage, end_ms in sorted(part.stages_ms.items(), key=lambda pair: pair[1]):
                self.stages.setdefault(stage, LatencyHistogram()).add((end_ms - before_ms) / 1e3)
                before_ms = end_ms
            if part.latency_ms is not None:
                self.latency.add(part.latency_ms / 1e3)
            self.defective.update({(part.verdict, found.class_name, found.camera) for found in part.defects})
