"""Results of `edge-inspect bench` as tables and JSON."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from edge.records.summary import PERCENTILES, percentile_table


@dataclass(frozen=True)
class RuntimeFigures:
    """Figures of the runtime in one mode."""

    per_s: Sequence[float]
    """Parts per second with several of them open, one entry per round."""
    to_result_ms: Sequence[float]
    """Latency from the frame in memory to the result at the link, one part at a time."""
    around_engine_ms: Sequence[float]
    """The same without the engine's time."""
    stages_ms: Mapping[str, Mapping[str, tuple[float, ...]]]
    """Percentiles by stage, with one open part ("alone") or several ("busy")."""
    skipped: int
    """Parts whose pictures were skipped because the disk was too slow."""


@dataclass(frozen=True)
class BenchFigures:
    """All figures of one benchmark run."""

    bundle: str
    bundle_id: str
    engine: str
    threads: int | None
    """CPU threads; None for the engine's choice."""
    parts: int
    """Parts per round."""
    bare_per_s: Sequence[float]
    """Frames per second of the bare engine, one entry per round."""
    bare_ms: Sequence[float]
    """Latency of each frame on the bare engine."""
    ways: Mapping[str, RuntimeFigures]

    def ratio(self, way: RuntimeFigures) -> float:
        """Throughput of the runtime over that of the bare engine: the median of the rounds."""
        return float(np.median(np.divide(way.per_s, self.bare_per_s)))

    def overhead_ms(self, way: RuntimeFigures) -> dict[str, float]:
        """Latency of the runtime above the bare engine's median, at each percentile."""
        return _percentiles(np.subtract(way.to_result_ms, np.median(self.bare_ms)))

    def to_json(self) -> dict[str, Any]:
        """Every figure, with the machine that it belongs to."""
        return {
            "bundle": self.bundle,
            "bundle_id": self.bundle_id,
            "engine": self.engine,
            "threads": self.threads,
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "rounds": len(self.bare_per_s),
            "parts_per_round": self.parts,
            "bare": {"per_s": list(self.bare_per_s), "ms": _percentiles(self.bare_ms)},
            "runtime": {name: self._way_json(way) for name, way in self.ways.items()},
        }

    def _way_json(self, way: RuntimeFigures) -> dict[str, Any]:
        stages = {
            load: {stage: dict(zip(PERCENTILES, values, strict=True)) for stage, values in table.items()}
            for load, table in way.stages_ms.items()
        }
        return {
            "per_s": list(way.per_s),
            "ratio": self.ratio(way),
            "frame_to_result_ms": _percentiles(way.to_result_ms),
            "overhead_ms": self.overhead_ms(way),
            "around_engine_ms": _percentiles(way.around_engine_ms),
            "stages_ms": stages,
            "pictures_skipped": way.skipped,
        }


def throughput_table(found: BenchFigures) -> Table:
    """The runtime's throughput beside the bare engine's, medians over the rounds."""
    table = Table("throughput", "per second", "of bare", "worst round", "best round")
    table.add_row("bare engine", f"{np.median(found.bare_per_s):.1f}")
    for name, way in found.ways.items():
        ratios = np.divide(way.per_s, found.bare_per_s)
        shares = found.ratio(way), ratios.min(), ratios.max()
        table.add_row(f"runtime, {name}", f"{np.median(way.per_s):.1f}", *(f"{share:.3f}" for share in shares))
    return table


def overhead_table(found: BenchFigures) -> Table:
    """Tabulate the overhead of the runtime with one open part, from frame in memory to result at the link."""
    rows = [("bare engine", _percentiles(found.bare_ms))]
    for name, way in found.ways.items():
        rows += [
            (f"frame to result, {name}", _percentiles(way.to_result_ms)),
            ("  above the bare engine's median", found.overhead_ms(way)),
            ("  outside the engine, part by part", _percentiles(way.around_engine_ms)),
        ]
    return percentile_table("one part at a time", [(name, tuple(row.values())) for name, row in rows])


def stage_tables(found: BenchFigures) -> list[Table]:
    """Tabulate latency by stage with one open part, for each mode."""
    return [percentile_table(f"stage, {name}", way.stages_ms["alone"].items()) for name, way in found.ways.items()]


def _percentiles(values_ms: Any) -> dict[str, float]:
    found = np.percentile(values_ms, tuple(PERCENTILES.values()))
    return {name: float(value) for name, value in zip(PERCENTILES, found, strict=True)}
