"""Export of the records as CSV or Parquet."""

import csv
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bundle import Verdict
from edge.errors import RecordsError
from edge.records.database import reading, version_of

CHUNK = 10_000
"""Rows in memory at a time."""
FORMULA = "=+-@\t\r"
"""First characters of a cell that spreadsheets evaluate."""
FROM_OUTSIDE = ("class", "camera", "fault", "source", "picture", "name", "cause")
"""Columns with texts of bundles, line files and devices."""
_SINCE_VERSION_2 = ", ejection, challenge"

_NAMED = "CASE {0} " + " ".join(f"WHEN {verdict.value} THEN '{verdict.name}'" for verdict in Verdict) + " END AS {0}"
TABLES = {
    "parts": f"""
        SELECT parts.number, time, part_id, encoder, {_NAMED.format("verdict")}, {_NAMED.format("told")},
               parts.class, parts.score, parts.area_px, worst.area_mm2, worst.camera, worst.x, worst.y, worst.width,
               worst.height, fault, bundle_id,
               frame_us, prepared_us, inferred_us, decided_us, recorded_us, sent_us, acknowledged_us,
               link{{since_version_2}},
               coalesce(
                   (SELECT picture FROM views WHERE worst.camera IS NOT NULL AND part = parts.number
                    AND views.camera = worst.camera AND picture IS NOT NULL),
                   (SELECT max(picture) FROM views WHERE part = parts.number AND picture IS NOT NULL)) AS picture
        FROM parts LEFT JOIN defects AS worst ON worst.rowid = CASE WHEN parts.class IS NOT NULL THEN
            (SELECT rowid FROM defects WHERE part = parts.number ORDER BY score DESC, area_px DESC LIMIT 1) END
        ORDER BY parts.number""",
    "views": "SELECT * FROM views ORDER BY part, rowid",
    "defects": "SELECT * FROM defects ORDER BY part, rowid",
    "alarms": "SELECT * FROM alarms ORDER BY number",
}
"""Query by table; a part has camera, box and picture of its strongest defect, otherwise any picture."""

Columns = list[tuple[str, str]]
"""Column names with SQLite types: INTEGER, REAL or TEXT."""
Write = Callable[[Path, Columns, Iterator[list[Any]]], None]
"""Writes chunks of rows to a file."""


def export(records: Path, out: Path, table: str = "parts") -> int:
    """Write one table of the records to `out`, a .csv or .parquet file; returns the number of rows.

    An existing file is replaced when the new one is complete. Raises RecordsError for unreadable records, another
    suffix, or missing pyarrow; OSError if `out` cannot be written.
    """
    write = _writer(out)
    draft, rows = out.with_name(f".{out.name}.part"), 0

    def counted(chunks: Iterator[list[Any]]) -> Iterator[list[Any]]:
        nonlocal rows
        for chunk in chunks:
            rows += len(chunk)
            yield chunk

    try:
        with reading(records) as connection:
            if table == "alarms" and version_of(connection) < 3:
                raise RecordsError(f"records {records}: found version {version_of(connection)}, which has no alarms")
            since_2 = _SINCE_VERSION_2 if version_of(connection) >= 2 else ""
            connection.execute(f"CREATE TEMP VIEW exported AS {TABLES[table].format(since_version_2=since_2)}")
            columns = [
                (name, kind or "TEXT") for _, name, kind, *_ in connection.execute("PRAGMA table_info(exported)")
            ]
            write(draft, columns, counted(_chunks(connection.execute("SELECT * FROM exported"))))
        draft.replace(out)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return rows


def _chunks(cursor: sqlite3.Cursor) -> Iterator[list[Any]]:
    return iter(lambda: cursor.fetchmany(CHUNK), [])


def _writer(out: Path) -> Write:
    writers: dict[str, Write] = {".csv": _write_csv, ".parquet": _write_parquet}
    if out.suffix.lower() not in writers:
        raise RecordsError(f"{out}: found the ending {out.suffix!r}, expected .csv or .parquet; rename it")
    return writers[out.suffix.lower()]


def _write_csv(path: Path, columns: Columns, chunks: Iterator[list[Any]]) -> None:
    """RFC 4180, UTF-8; NULL is empty. A text that a spreadsheet would take for a formula begins with an apostrophe."""
    texts = [index for index, (name, _) in enumerate(columns) if name in FROM_OUTSIDE]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(name for name, _ in columns)
        for chunk in chunks:
            writer.writerows(_without_formulas(row, texts) for row in chunk)


def escape_formula(text: str) -> str:
    """Prefix a text that a spreadsheet would run as a formula with an apostrophe.

    See CWE-1236, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text and text[0] in FORMULA else text


def _without_formulas(row: Sequence[Any], texts: list[int]) -> Sequence[Any]:
    cells = [index for index in texts if row[index] and row[index][0] in FORMULA]
    if not cells:
        return row
    return [escape_formula(cell) if index in cells else cell for index, cell in enumerate(row)]


def _write_parquet(path: Path, columns: Columns, chunks: Iterator[list[Any]]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RecordsError(
            "Parquet needs pyarrow, which is not installed; pip install 'edge-inspect[parquet]', or export to .csv"
        ) from None
    types = {"INTEGER": pyarrow.int64(), "REAL": pyarrow.float64(), "TEXT": pyarrow.string()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for chunk in chunks:
            pairs = zip(zip(*chunk, strict=True), schema, strict=True)
            values = [pyarrow.array(column, field.type) for column, field in pairs]
            writer.write_table(pyarrow.Table.from_arrays(values, schema=schema))
