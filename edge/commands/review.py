"""`edge-inspect mark`, `queue` and `collect`: people's opinions about parts, and the data sets made of them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from rich.table import Table
from rich.text import Text

from bundle import load_bundle
from edge.bundle_inspector import BundleInspector
from edge.config.line import Line, load_line
from edge.errors import MarkError
from edge.records.database import reading
from edge.reports.kappa import share_of
from edge.review.collect import OpenInspector, collect, station_name
from edge.review.marks import Mark, MarkedDefect, Truth, add_mark, row_of
from edge.review.queue import in_sample, review_queue, sample_result


def mark_part(
    line: Line,
    truth: Truth,
    row: int | None,
    part_id: int | None,
    near: str | None,
    classes: Sequence[str],
    camera: str | None,
    confirm: bool,
    who: str,
    note: str,
) -> str:
    """Add a mark as the options of the command say; returns a message. Raises MarkError, RecordsError."""
    if (row is None) == (part_id is None):
        raise MarkError("found neither or both of --row and --part-id, expected one of them")
    if near is not None and part_id is None:
        raise MarkError("found --near without --part-id, expected both; a row needs no time")
    with reading(line.records) as connection:
        sampled = row is not None and in_sample(connection, row)
        row = row_of(connection, part_id or 0, near) if row is None else row
    if classes and camera is None and len(line.views) > 1:
        raise MarkError(f"found no --camera, expected the one that shows the defect: {', '.join(line.views)}")
    shown_by = camera or line.views[0]
    defects = tuple(MarkedDefect(shown_by, name, (), confirm) for name in classes)
    number = add_mark(line.records, Mark(row, truth, who, defects, note, sampled))
    return f"mark {number}: row {row} is {truth}{': ' if classes else ''}{', '.join(classes)}, by {who}"


def queue_tables(line: Line, most: int) -> Iterator[Table | str]:
    """Tabulate the review queue of a line, then what its random sample says. Raises RecordsError, BundleError."""
    manifest = load_bundle(line.bundle).manifest
    thresholds = {name: limit.score for name, limit in manifest.thresholds.items()}
    with reading(line.records) as connection:
        found = review_queue(connection, thresholds, most)
        sampled = sample_result(connection, manifest.id)
    table = Table("row", "part id", "time, UTC", "verdict", "class", "score", "why")
    for one in found:
        score = "" if one.score is None else f"{one.score:.3f}"
        row = str(one.row), str(one.part_id), one.time[:19].replace("T", " "), one.verdict.name
        table.add_row(*row, Text(one.class_name), score, one.reason)
    yield table
    if not sampled.marked:
        yield f"random sample: none marked yet of the parts that {manifest.id[:12]} passed"
        return
    share = share_of(sampled.defective, sampled.marked)
    yield (
        f"random sample of the parts that {manifest.id[:12]} passed: {sampled.defective} of {sampled.marked} "
        f"defective, {100 * share.value:.1f} % (95 %: {100 * share.low:.1f} to {100 * share.high:.1f})"
    )


def collect_lines(paths: Sequence[Path], out: Path, engine: str) -> Iterator[str]:
    """Collect the marked parts of some lines; yields remarks, then a summary. Raises StationError, BundleError."""
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(station_name(path), path)
        if other is not path and other.resolve() == path.resolve():
            raise MarkError(f"{path}: found this file twice, expected each line once; name it once")
        if other is not path:
            raise MarkError(
                f"{path}: found the station name {station_name(path)} of {other} as well, expected one of its own; "
                "rename one of the files, or where they are called line.toml one of their folders"
            )
    stations = {name: load_line(path) for name, path in named.items()}
    with ExitStack() as opened:
        inspectors = {name: _inspector(line, engine, opened) for name, line in stations.items()}
        made = collect(stations, inspectors, out)
    yield from made.remarks
    good = sum(row.truth == "good" for row in made.images)
    parts = len({(row.station, row.row) for row in made.images})
    yield f"{out}: {len(made.images)} images of {parts} parts, {len(made.images) - good} of them defective"


def _inspector(line: Line, engine: str, opened: ExitStack) -> OpenInspector:
    """Open the bundle of a line when it is first needed."""
    return cache(lambda: opened.enter_context(BundleInspector.open(line.bundle, engine)))
