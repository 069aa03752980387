"""Summary tables of the records."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from bundle import Verdict
from edge.records.database import last_number, reading, version_of

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
"""Stages of a part: name, stamp of start, stamp of end."""
STAMPS = ("frame_us", "prepared_us", "inferred_us", "decided_us", "sent_us", "acknowledged_us")
LATEST = 100_000
"""Parts whose latency a report shows; those before them do not change what is to be done."""
CHUNK = 10_000
"""Rows that are fetched at a time."""
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "worst": 100}


def report(path: Path) -> tuple[Table, ...]:
    """Tabulate all verdicts, the latency of the latest `LATEST` parts, and the alarms; raises RecordsError."""
    with reading(path) as connection:
        first = last_number(connection) - LATEST + 1
    title = f"Latency of the latest {LATEST} parts" if first > 1 else None
    return verdict_table(path), latency_table(path, first, title), *alarm_table(path)


def closing_report(path: Path, first: int) -> tuple[Table, Table]:
    """Tabulate the parts from row `first` on, but no more than the latest `LATEST`; raises RecordsError."""
    with reading(path) as connection:
        last = last_number(connection)
    start = max(first, last - LATEST + 1)
    title = f"The latest {LATEST} of the {last - first + 1} parts of this run" if start > first else None
    return verdict_table(path, start, title), latency_table(path, start, title)


def verdict_table(path: Path, first: int | None = None, title: str | None = None) -> Table:
    """Count the parts of the records by verdict, class and delivery, all or from row `first` on."""
    # without `NOT INDEXED` the index of the groups would be read from the first part on
    chosen, values = ("", ()) if first is None else ("NOT INDEXED WHERE number >= ?", (first,))
    query = f"SELECT verdict, class, link, count(*) FROM parts {chosen} GROUP BY 1, 2, 3"
    table = Table("verdict", "class", "on the wire", "parts", title=title)
    with reading(path) as connection:
        for verdict, name, link, count in connection.execute(query, values):
            table.add_row(Verdict(verdict).name, Text(name or ""), link, str(count))
    return table


def alarm_table(path: Path) -> tuple[Table, ...]:
    """Tabulate how often each alarm was raised and how long it lasted; nothing without alarms."""
    query = """
        SELECT name, count(*), sum(julianday(ended) - julianday(began)) * 24 * 60, count(*) - count(ended), max(began)
        FROM alarms GROUP BY name ORDER BY 3 DESC, 2 DESC"""
    table = Table("alarm", "raised", "minutes", "without an end", "last raised, UTC")
    with reading(path) as connection:
        rows = connection.execute(query).fetchall() if version_of(connection) >= 3 else []  # one per name
    for name, raised, minutes, endless, last in rows:
        table.add_row(Text(name), str(raised), f"{minutes or 0:.1f}", str(endless), last[:16].replace("T", " "))
    return (table,) if rows else ()


def latency_table(path: Path, first: int = 1, title: str | None = None) -> Table:
    """Percentiles of each stage's time; see `latencies_ms`."""
    table = percentile_table("stage", latencies_ms(path, first).items())
    table.title = title
    return table


def percentile_table(heading: str, rows: Iterable[tuple[str, Sequence[float]]]) -> Table:
    """Tabulate percentiles in milliseconds; see `percentiles_ms`."""
    table = Table(heading, *(f"{name} ms" for name in PERCENTILES))
    for name, values in rows:
        table.add_row(name, *(f"{value:.2f}" for value in values))
    return table


def latencies_ms(path: Path, first: int = 1, last: int = 2**62) -> dict[str, tuple[float, ...]]:
    """Percentiles by stage, over the parts that went through it, from row `first` to `last`; see `percentiles_ms`.

    The stamps of these parts are in memory at a time: 56 bytes for each.
    """
    stamps = {name: index for index, name in enumerate(STAMPS)}
    with reading(path) as connection:
        cursor = connection.execute(
            f"SELECT {', '.join(STAMPS)} FROM parts WHERE number BETWEEN ? AND ?", (first, last)
        )
        chunks = [np.array(rows, float) for rows in iter(lambda: cursor.fetchmany(CHUNK), [])]
    if not chunks:
        return {}
    times_us = np.concatenate(chunks)  # [parts, stamps], NaN where the stage was not reached
    found: dict[str, tuple[float, ...]] = {}
    for name, before, after in SPANS:
        spent = times_us[:, stamps[after]] - (times_us[:, stamps[before]] if before else 0)
        spent = spent[~np.isnan(spent)]
        if spent.size:
            found[name] = percentiles_ms(spent)
    return found


def percentiles_ms(times_us: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    """Return median, 95th and 99th percentile and maximum in milliseconds of times in microseconds."""
    return tuple(float(value) for value in np.percentile(times_us, tuple(PERCENTILES.values())) / 1e3)
