"""Counters of the reported parts for Prometheus: latency histograms by stage, defective parts by class and camera."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from edge.servers.state import PartState

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the buckets; a last bucket has no bound."""
WHOLE = "whole"
"""Stage from the trigger to the sent result."""


class StageHistogram:
    """Histogram of one stage's latency."""

    def __init__(self) -> None:
        self.sum_s = 0.0
        self._counts = [0] * (len(BOUNDS_S) + 1)

    def add(self, latency_s: float) -> None:
        """Count one part."""
        self.sum_s += latency_s
        self._counts[bisect_left(BOUNDS_S, latency_s)] += 1

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound and number of parts at or below it, the last without a bound."""
        names = (*(str(bound) for bound in BOUNDS_S), "+Inf")
        return [(name, float(sum(self._counts[: place + 1]))) for place, name in enumerate(names)]


class PartCounters:
    """Counters since the start of the page. Used by one thread at a time."""

    def __init__(self) -> None:
        self.stages: dict[str, StageHistogram] = {}
        """By stage, each from the end of the stage before, and WHOLE."""
        self.defective: Counter[tuple[str, str, str]] = Counter()
        """Parts by verdict, class and camera; a part counts once for each class that a camera saw."""

    def add(self, parts: Iterable[PartState]) -> None:
        """Count reported parts."""
        for part in parts:
            before_ms = 0.0
            for stage, end_ms in sorted(part.stages_ms.items(), key=lambda pair: pair[1]):
                self._add(stage, end_ms - before_ms)
                before_ms = end_ms
            if part.latency_ms is not None:
                self._add(WHOLE, part.latency_ms)
            self.defective.update({(part.verdict, found.class_name, found.camera) for found in part.defects})

    def _add(self, stage: str, latency_ms: float) -> None:
        self.stages.setdefault(stage, StageHistogram()).add(latency_ms / 1e3)
