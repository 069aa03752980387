"""What the records say, as tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from bundle import Verdict
from edge.records import reading

SPANS = (
    ("trigger to frame", None, "frame_us"),
    ("wait and prepare", "frame_us", "prepared_us"),
    ("infer", "prepared_us", "inferred_us"),
    ("decide", "inferred_us", "decided_us"),
    ("row and send", "decided_us", "sent_us"),
    ("wire and back", "sent_us", "acknowledged_us"),
    ("frame to acknowledgement", "frame_us", "acknowledged_us"),
)
"""Stages of a part: name, the stamp before, the stamp after."""


def verdict_table(path: Path, first: int = 1) -> Table:
    """Count the parts of the records by verdict, class and delivery, from row `first` on."""
    rows = _select(path, "SELECT verdict, class, link, count(*) FROM parts WHERE number >= ? GROUP BY 1, 2, 3", first)
    table = Table("verdict", "class", "on the wire", "parts")
    for verdict, name, link, count in rows:
        table.add_row(Verdict(verdict).name, name or "", link, str(count))
    return table


def latency_table(path: Path, first: int = 1) -> Table:
    """Percentiles of each stage's time in milliseconds, over the parts that went through it."""
    table = Table("stage", *(f"{name} ms" for name in ("p50", "p95", "p99", "worst")))
    for name, before, after in SPANS:
        spent = f"{after} - {before}" if before else after
        times = _select(path, f"SELECT {spent} FROM parts WHERE number >= ? AND {spent} IS NOT NULL", first)
        if times:
            table.add_row(name, *(f"{value:.1f}" for value in percentiles_ms([row[0] for row in times])))
    return table


def percentiles_ms(times_us: Sequence[float]) -> tuple[float, ...]:
    """Median, 95th, 99th percentile and worst of times in microseconds, in milliseconds."""
    return tuple(float(value) for value in np.percentile(times_us, (50, 95, 99, 100)) / 1e3)


def _select(path: Path, query: str, first: int) -> list[tuple]:  # type: ignore[type-arg]
    with reading(path) as connection:
        return connection.execute(query, (first,)).fetchall()
