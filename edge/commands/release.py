"""`edge-inspect release`, `rollback` and `releases`: the bundle of a line, switched and switched back."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from rich.table import Table
from rich.text import Text

from bundle import Bundle
from edge.config.line import Line, load_line
from edge.release.releases import ReleaseRow, history, release, roll_back
from edge.station import open_inspector

SHORT = 12
"""Characters of a bundle's id that are shown."""


def release_to(bundle: Path, line: Path, who: str, note: str) -> Iterator[str]:
    """Release a bundle to a line; yields what was done. Raises BundleError, StationError."""
    settings = load_line(line)
    yield from _done(settings, release(settings, bundle, who, note, lambda copy: _open(settings, copy)))


def roll_back_to(line: Path, who: str, note: str) -> Iterator[str]:
    """Switch a line back; yields what was done. Raises BundleError, StationError."""
    settings = load_line(line)
    yield from _done(settings, roll_back(settings, who, note, lambda copy: _open(settings, copy)))


def releases_table(line: Line) -> Table:
    """Tabulate the switches of a line's bundle. Raises RecordsError."""
    table = Table("time, UTC", "what", "who", "before", "after", "note")
    for row in history(line.records):
        texts = Text(row.who), row.before[:SHORT] or "-", row.after[:SHORT], Text(row.note)
        table.add_row(row.time[:19].replace("T", " "), row.action, *texts)
    return table


def _open(line: Line, bundle: Bundle) -> None:
    """Open the bundle as the station would, with its engine, cameras' geometry and signature, and close it."""
    open_inspector(line.model_copy(update={"bundle": bundle.folder}), monotonic).engine.close()


def _done(line: Line, row: ReleaseRow) -> Iterator[str]:
    yield f"golden frames match on this machine with {line.engine}; signature {_signature(line)}"
    yield f"{row.action} {row.number}: {line.bundle} is {row.after[:SHORT]} now, was {row.before[:SHORT] or 'nothing'}"
    yield "a running station takes it over between two parts; `edge-inspect rollback` undoes it"


def _signature(line: Line) -> str:
    return "verified" if line.release is not None else "not asked for by line.toml ([release] keys)"
