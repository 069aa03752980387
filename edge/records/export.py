"""Export of the records as CSV or Parquet."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bundle import Verdict
from bundle.files import replacing
from edge.errors import RecordsError
from edge.records.csv_process import CsvProcess, Span, format_chunk
from edge.records.database import reading, version_of

CHUNK = 5_000
"""Rows in memory at a time, for each process."""
CHUNKS_ALONE = 20
"""Chunks of the largest CSV file that one process writes: 100,000 rows take a third of a second."""
LEAD = 8
"""Chunks that are formatted while a second process starts, in a tenth of a second."""
FORMULA = "=+-@\t\r"
"""First characters of a cell that spreadsheets evaluate."""
FROM_OUTSIDE = ("class", "camera", "fault", "source", "picture", "name", "cause")
"""Columns with texts of bundles, line files and devices."""
UNQUOTED = ("time", "verdict", "told", "bundle_id", "link", "ejection", "area", "began", "ended")
"""Columns with texts of the station's own, without commas and quotes."""
SINCE_VERSION_2 = ", ejection, challenge"

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
""",
    "views": "SELECT * FROM views",
    "defects": "SELECT * FROM defects",
    "alarms": "SELECT * FROM alarms",
}
"""Query by table; a part has camera, box and picture of its strongest defect, otherwise any picture."""
KEYS = {"parts": "number", "views": "part", "defects": "part", "alarms": "number"}
"""Indexed column by table, which orders the rows."""

STAGES = ("frame_us", "prepared_us", "inferred_us", "decided_us", "recorded_us", "sent_us", "acknowledged_us")
BARE = f"""class IS NULL AND fault = '' AND {" + ".join(STAGES)} IS NOT NULL AND number NOT IN (
    SELECT part FROM views WHERE picture IS NOT NULL AND part BETWEEN ?1 AND ?2)"""
"""Condition of most parts: every stage reached, no defect, fault or picture."""
BARE_INTEGERS = ("number", "part_id", "encoder", *STAGES)
"""Columns that are never NULL in such parts."""
BARE_EMPTY = ("class", "area_mm2", "camera", "x", "y", "width", "height", "fault", "picture")
"""Columns that are NULL or empty in such parts."""

Columns = list[tuple[str, str]]
"""Column names with SQLite types: INTEGER, REAL or TEXT."""


@dataclass(frozen=True)
class ExportSource:
    """One table of a database, read in chunks of its key."""

    records: Path
    table: str
    since_version_2: str = ""
    """Columns that older databases lack."""

    def connect(self, opened: ExitStack) -> sqlite3.Connection:
        """Open another connection with the view `exported`, closed with `opened`; raises RecordsError."""
        connection = opened.enter_context(reading(self.records))
        connection.execute(f"CREATE TEMP VIEW exported AS {self.view()}")
        return connection

    def view(self) -> str:
        """Return the SQL of the view `exported`."""
        return TABLES[self.table].format(since_version_2=self.since_version_2)

    def columns(self, connection: sqlite3.Connection) -> Columns:
        """Return the column names with SQLite types: INTEGER, REAL or TEXT."""
        return [(name, kind or "TEXT") for _, name, kind, *_ in connection.execute("PRAGMA table_info(exported)")]

    def spans(self, connection: sqlite3.Connection) -> Iterator[Span]:
        """Yield the first and last key of each chunk; gaps in the keys are skipped."""
        key = KEYS[self.table]
        query = f"SELECT min({key}), (SELECT max({key}) FROM {self.table}) FROM {self.table} WHERE {key} >= ?"
        first, last = connection.execute(query, (-(2**62),)).fetchone()
        end = last
        while first is not None and first <= end:
            yield first, min(first + CHUNK - 1, end)
            first, _ = connection.execute(query, (first + CHUNK,)).fetchone()

    def within(self) -> str:
        """Return the condition and order of one chunk."""
        key = KEYS[self.table]
        return f"FROM exported WHERE {key} BETWEEN ?1 AND ?2 ORDER BY {key}"


def export(records: Path, out: Path, table: str = "parts") -> int:
    """Write one table of the records to `out`, a .csv or .parquet file; returns the number of rows.

    Rows are read in chunks, so that memory does not grow with the table and a station that writes is not delayed. An
    existing file is replaced when the new one is complete. Raises RecordsError for unreadable records, another suffix,
    or missing pyarrow; OSError if `out` cannot be written.
    """
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    write = writers.get(out.suffix.lower())
    if write is None:
        raise RecordsError(f"{out}: found the ending {out.suffix!r}, expected .csv or .parquet; rename it")
    with reading(records) as connection:
        version = version_of(connection)
    if table == "alarms" and version < 3:
        raise RecordsError(f"records {records}: found version {version}, which has no alarms")
    with replacing(out) as draft:
        return write(ExportSource(records, table, SINCE_VERSION_2 if version >= 2 else ""), draft)


def _write_csv(source: ExportSource, path: Path) -> int:
    """RFC 4180, UTF-8; NULL is empty, numbers have up to 15 digits.

    A text that a spreadsheet would take for a formula begins with an apostrophe. Of a large table a second process
    formats every second chunk; the bytes are the same.
    """
    rows = 0
    with ExitStack() as opened:
        connection = source.connect(opened)
        columns = source.columns(connection)
        query = f"SELECT count(*), CAST(group_concat(line, '') AS BLOB) FROM ({_csv_lines(source, columns)})"
        spans = list(source.spans(connection))
        theirs = range(LEAD, len(spans), 2) if len(spans) > CHUNKS_ALONE else range(0)
        if theirs:
            child = CsvProcess(source.records, source.view(), query, spans[theirs.start :: theirs.step])
            opened.callback(child.close)
        file = opened.enter_context(path.open("wb"))
        file.write(",".join(name for name, _ in columns).encode() + b"\r\n")
        for index, span in enumerate(spans):
            count, text = child.next_chunk() if index in theirs else format_chunk(connection, query, span)
            rows += count
            file.write(text)
    return rows


def _csv_lines(source: ExportSource, columns: Columns) -> str:
    """SQL of the lines of one chunk; a bare part is a single printf, and the other tables are not looked at."""
    line = _joined(columns, [name for name, kind in columns if _needs_quotes(name, kind)])
    if source.table != "parts":
        return f"SELECT {line} AS line {source.within()}"
    full = f"SELECT {line} FROM exported WHERE exported.number = bare.number"
    own = [
        _NAMED.format(name) if name in ("verdict", "told") else name for name, _ in columns if name not in BARE_EMPTY
    ]
    bare = f"SELECT {', '.join(own)}, class, fault FROM parts"
    return (
        f"SELECT CASE WHEN {BARE} THEN {_joined(columns, [], BARE_EMPTY, BARE_INTEGERS)} ELSE ({full}) END AS line "
        f"FROM ({bare}) AS bare WHERE number BETWEEN ?1 AND ?2 ORDER BY number"
    )


def _joined(columns: Columns, quoted: Sequence[str], empty: Sequence[str] = (), integers: Sequence[str] = ()) -> str:
    """Texts with quotes are joined by ||, which keeps a NUL; all others are printed by printf, which is faster.

    Integers that cannot be NULL, which %d would print as 0, take %d: it converts no value to text first.
    """
    pieces: list[str] = []
    plain: list[str] = []
    layout = ""
    for number, (name, _) in enumerate(columns):
        layout += "," if number else ""
        if name in quoted:
            pieces += [_printed(layout, plain), _quoted(name)]
            layout, plain = "", []
        elif name not in empty:
            layout, plain = f"{layout}{'%d' if name in integers else '%s'}", [*plain, name]
    return " || ".join([*pieces, _printed(f"{layout}\r\n", plain)])


def _printed(layout: str, values: list[str]) -> str:
    return f"printf({', '.join([_literal(layout), *values])})"


def _literal(text: str) -> str:
    """SQL of a text."""
    return "'" + text.replace("'", "''") + "'"


def _needs_quotes(name: str, kind: str) -> bool:
    return kind == "TEXT" and name not in UNQUOTED


def _quoted(name: str) -> str:
    """SQL of a text, in quotes where RFC 4180 wants them, and no formula."""
    formula = _literal("[" + FORMULA.replace("-", "") + "-]*")
    escaped = (
        f"CASE WHEN {name} GLOB {formula} THEN char(39) || {name} ELSE {name} END" if name in FROM_OUTSIDE else name
    )
    quoted = f"""'"' || replace({escaped}, '"', '""') || '"'"""
    special = _literal('*[,"\n\r]*')
    return (
        f"CASE WHEN {name} IS NULL OR {name} = '' THEN '' WHEN {name} GLOB {special} THEN {quoted} ELSE {escaped} END"
    )


def escape_formula(text: str) -> str:
    """Prefix a text that a spreadsheet would run as a formula with an apostrophe.

    See CWE-1236, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text and text[0] in FORMULA else text


def _write_parquet(source: ExportSource, path: Path) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RecordsError(
            "Parquet needs pyarrow, which is not installed; pip install 'edge-inspect[parquet]', or export to .csv"
        ) from None
    types = {"INTEGER": pyarrow.int64(), "REAL": pyarrow.float64(), "TEXT": pyarrow.string()}
    rows = 0
    with ExitStack() as opened:
        connection = source.connect(opened)
        schema = pyarrow.schema([(name, types[kind]) for name, kind in source.columns(connection)])
        writer = opened.enter_context(pyarrow.parquet.ParquetWriter(path, schema))
        for span in source.spans(connection):
            chunk = connection.execute(f"SELECT * {source.within()}", span).fetchall()
            rows += len(chunk)
            pairs = zip(zip(*chunk, strict=True), schema, strict=True)
            values = [pyarrow.array(column, field.type) for column, field in pairs]
            writer.write_table(pyarrow.Table.from_arrays(values, schema=schema))
    return rows
