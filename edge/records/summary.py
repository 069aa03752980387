"""What the records say, as tables."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from bundle import Verdict
from edge.records.database import reading

SPANS = (
    ("trigger to frame", None, "frame_us"),
    ("wait and prepare", "frame_us", "prepared_us"),
    ("infer", "prepared_us", "inferred_us"),
    ("decide", "inferred_us", "decided_us"),
    ("row and send", "decided_us", "sent_us"),
    ("wire and back", "sent_us", "acknowledged_us"),
    ("frame to result", "frame_us", "sent_us"),
    ("frame to acknowledgement", "frame_us", "acknowledged_us"),
)
"""Stages of a part: name, the stamp before, the stamp after."""
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "worst": 100}


def verdict_table(path: Path, first: int = 1) -> Table:
    """Count the parts of the records by verdict, class and delivery, from row `first` on."""
    rows = _select(path, "SELECT verdict, class, link, count(*) FROM parts WHERE number >= ? GROUP BY 1, 2, 3", first)
    table = Table("verdict", "class", "on the wire", "parts")
    for verdict, name, link, count in rows:
        table.add_row(Verdict(verdict).name, name or "", link, str(count))
    return table


def latency_table(path: Path, first: int = 1) -> Table:
    """Percentiles of each stage's time, over the parts that went through it, from row `first` on."""
    return percentile_table("stage", latencies_ms(path, first).items())


def percentile_table(heading: str, rows: Iterable[tuple[str, Sequence[float]]]) -> Table:
    """Tabulate percentiles in milliseconds; see `percentiles_ms`."""
    table = Table(heading, *(f"{name} ms" for name in PERCENTILES))
    for name, values in rows:
        table.add_row(name, *(f"{value:.2f}" for value in values))
    return table


def latencies_ms(path: Path, first: int = 1) -> dict[str, tuple[float, ...]]:
    """The percentiles of `latency_table`, by stage; see `percentiles_ms`."""
    found: dict[str, tuple[float, ...]] = {}
    for name, before, after in SPANS:
        spent = f"{after} - {before}" if before else after
        times = _select(path, f"SELECT {spent} FROM parts WHERE number >= ? AND {spent} IS NOT NULL", first)
        if times:
            found[name] = percentiles_ms([row[0] for row in times])
    return found


def percentiles_ms(times_us: Sequence[float]) -> tuple[float, ...]:
    """Median, 95th, 99th percentile and worst of times in microseconds, in milliseconds."""
    return tuple(float(value) for value in np.percentile(times_us, tuple(PERCENTILES.values())) / 1e3)


def _select(path: Path, query: str, first: int) -> list[tuple]:  # type: ignore[type-arg]
    with reading(path) as connection:
        return connection.execute(query, (first,)).fetchall()
