"""The exported tables equal the records."""

import csv
import io
import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bundle import Defect, Verdict
from edge.cli import main
from edge.errors import RecordsError
from edge.records.database import connect
from edge.records.export import CHUNK, CHUNKS_ALONE, LEAD, SINCE_VERSION_2, ExportSource, export
from edge.records.writer import Records
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.part_doubles import DARK, judged

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
MANIFEST = tiny_manifest().sealed()
PAGE_BYTES = 4096
"""Page of SQLite by default."""


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    """One good part, one with two defects, one without a verdict in time."""
    opened = Records(tmp_path / "records.sqlite", lambda: NOON)
    weak = Defect(0, "Bright", 0.91, 8.0, (0, 0, 2, 2))
    for part in (
        judged(1, Verdict.OK, [grey_frame()], MANIFEST),
        judged(2, Verdict.NG, [grey_frame(), grey_frame(0)], MANIFEST, (DARK, weak)),
        judged(3, Verdict.TIMEOUT, [None], MANIFEST),
    ):
        opened.keep(part, 10.0)
    opened.note_picture(2, "camera0", "2026-05-04/reject/120000-2-camera0.png")
    yield opened
    opened.close()


def spread_parts(path: Path) -> None:
    """Write more chunks of one part than one process exports, each part on a page of its own."""
    with closing(connect(path)) as connection, connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO parts (number, time, part_id, encoder, verdict, told, fault, bundle_id) "
            "VALUES (?, '2026', 1, 1, 5, 5, ?, 'id')",
            ((1 + index * CHUNK, f"fault {index:02} ".ljust(3000, ".")) for index in range(CHUNKS_ALONE + 5)),
        )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_part_is_a_row_with_its_strongest_defect(records: Records, tmp_path: Path) -> None:
    assert export(records.path, tmp_path / "parts.csv") == 3

    good, bad, late = read(tmp_path / "parts.csv")
    assert (good["number"], good["time"], good["verdict"], good["class"]) == (
        "1",
        NOON.isoformat("T", "milliseconds"),
        "OK",
        "",
    )
    assert (bad["verdict"], bad["class"], bad["score"], bad["area_px"]) == ("NG", "Dark", "0.97", "16.0")
    assert (bad["camera"], bad["x"], bad["y"], bad["width"], bad["height"]) == ("camera0", "2", "4", "4", "4")
    assert (late["verdict"], late["told"], late["camera"]) == ("TIMEOUT", "TIMEOUT", "")


def test_a_part_has_the_picture_of_its_strongest_defect(records: Records, tmp_path: Path) -> None:
    records.close()
    export(records.path, tmp_path / "parts.csv")

    assert read(tmp_path / "parts.csv")[1]["picture"] == "2026-05-04/reject/120000-2-camera0.png"


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(tmp_path: Path, name: str) -> None:
    opened = Records(tmp_path / "evil.sqlite")
    opened.keep(judged(1, Verdict.NG, [grey_frame()], MANIFEST, (Defect(0, name, 0.9, 8.0, (0, 0, 2, 2)),)), 10.0)
    opened.close()
    for table in ("parts", "defects"):
        export(opened.path, tmp_path / "out.csv", table)

        (row,) = read(tmp_path / "out.csv")
        assert row["class"] == f"'{name}"
        assert row["score"] == "0.9"


@pytest.mark.parametrize("name", ['say "no"', "a,b", "two\nlines", "nul\x00 inside", '=A1,"x"'])
def test_a_text_with_separators_is_one_cell(tmp_path: Path, name: str) -> None:
    opened = Records(tmp_path / "r.sqlite")
    opened.keep(judged(1, Verdict.NG, [grey_frame()], MANIFEST, (Defect(0, name, 0.9, 8.0, (0, 0, 2, 2)),)), 10.0)
    opened.close()
    export(opened.path, tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_bytes().decode()

    row = text.split("\r\n", 1)[1]
    written = f"'{name}" if name.startswith("=") else name
    assert (f'"{written.replace(chr(34), chr(34) * 2)}"' if "nul" not in name else written) in row
    assert text.endswith("\r\n")


def test_rows_of_many_chunks_are_in_order_and_complete(tmp_path: Path) -> None:
    """Three chunks, a gap, and a foreign row with a number far beyond."""
    numbers = [*range(1, 2 * CHUNK + 10, 3), 5 * CHUNK, 2**61]
    with closing(connect(tmp_path / "r.sqlite")) as connection, connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO parts (number, time, part_id, encoder, verdict, told, fault, bundle_id) "
            "VALUES (?, '2026', 1, 1, 1, 1, '', 'id')",
            ((number,) for number in numbers),
        )

    assert export(tmp_path / "r.sqlite", tmp_path / "out.csv") == len(numbers)
    assert [int(row["number"]) for row in read(tmp_path / "out.csv")] == numbers


@pytest.mark.parametrize("stride", [1, CHUNK], ids=["one process", "two processes"])
def test_every_mixture_of_empty_columns_is_the_line_that_a_csv_writer_gives(tmp_path: Path, stride: int) -> None:
    """Parts with and without defect, fault, picture, stage times, ejection, against Python's csv module."""
    stages = ((None,) * 7, (12, *(None,) * 4, 12, None), (0, 1, 2, 3, 4, 5, None), tuple(range(7)))
    mixtures = list(itertools.product((None, "Dark"), ("", "camera c: no frame"), (None, "a.png"), stages, (0, 1)))
    with closing(connect(tmp_path / "r.sqlite")) as connection, connection:
        connection.execute("BEGIN")
        for index, (name, fault, picture, stages_us, ejected) in enumerate(mixtures):
            number = 1 + index * stride
            ejection = "ejected" if ejected else None
            strongest = (name, 0.75) if name else (None, None)
            values = number, NOON.isoformat(), 7, -5, 2, 1, *strongest, fault, "id", *stages_us, ejection
            connection.execute(
                "INSERT INTO parts (number, time, part_id, encoder, verdict, told, class, score, fault, bundle_id, "
                "frame_us, prepared_us, inferred_us, decided_us, recorded_us, sent_us, acknowledged_us, ejection) "
                f"VALUES ({', '.join('?' * len(values))})",
                values,
            )
            connection.execute("INSERT INTO views VALUES (?, 'c', 1, 's', 4, 4, ?)", (number, picture))
            if name:
                connection.execute(
                    "INSERT INTO defects VALUES (?, 'c', ?, 0.75, 16.5, NULL, 1, 2, 3, 4)", (number, name)
                )
    export(tmp_path / "r.sqlite", tmp_path / "out.csv")

    expected = io.StringIO(newline="")
    writer = csv.writer(expected)
    with ExitStack() as opened:
        rows = (
            ExportSource(tmp_path / "r.sqlite", "parts", SINCE_VERSION_2)
            .connect(opened)
            .execute("SELECT * FROM exported")
        )
        writer.writerow([column[0] for column in rows.description])
        writer.writerows(rows)
    assert (tmp_path / "out.csv").read_bytes().decode() == expected.getvalue()


@pytest.mark.parametrize("damaged", [LEAD, LEAD + 1], ids=["second process", "first process"])
def test_a_damaged_chunk_leaves_what_was_there(tmp_path: Path, damaged: int) -> None:
    spread_parts(tmp_path / "r.sqlite")
    content = bytearray((tmp_path / "r.sqlite").read_bytes())
    page = content.index(f"fault {damaged:02} ".encode()) // PAGE_BYTES * PAGE_BYTES
    content[page : page + 8] = bytes(8)
    (tmp_path / "r.sqlite").write_bytes(content)
    (tmp_path / "out.csv").write_text("before")

    with pytest.raises(RecordsError, match=r"r\.sqlite: cannot be read \(database disk image is malformed\); restore"):
        export(tmp_path / "r.sqlite", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "before"
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(("table", "rows"), [("views", 3), ("defects", 4)])
def test_views_and_defects_are_tables_of_their_own(records: Records, tmp_path: Path, table: str, rows: int) -> None:
    assert export(records.path, tmp_path / "out.csv", table) == rows
    assert len(read(tmp_path / "out.csv")) == rows


def test_parquet_has_the_same_rows_with_their_types(records: Records, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra: parquet)")
    export(records.path, tmp_path / "parts.parquet")
    export(records.path, tmp_path / "parts.csv")

    table = parquet.read_table(tmp_path / "parts.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["number"], types["score"], types["verdict"], types["x"]) == ("int64", "double", "string", "int64")
    as_text = [{name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_pylist()]
    assert as_text == read(tmp_path / "parts.csv")


def test_an_empty_database_is_a_table_without_rows(tmp_path: Path) -> None:
    Records(tmp_path / "new.sqlite").close()

    assert export(tmp_path / "new.sqlite", tmp_path / "parts.csv") == 0
    assert (tmp_path / "parts.csv").read_text().startswith("number,time,part_id")


def test_the_command_says_how_many_rows(records: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", str(records.path), "--out", str(tmp_path / "views.csv"), "--table", "views"])

    assert ended.value.code in (0, None)
    assert "views.csv: 3 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("records_name", "out", "problem"),
    [
        ("records.sqlite", "parts.xlsx", "found the ending '.xlsx', expected .csv or .parquet"),
        ("none.sqlite", "parts.csv", "none.sqlite: found no such file"),
        ("text.sqlite", "parts.csv", "cannot be used .*not a database"),
    ],
)
def test_what_cannot_be_exported_leaves_what_was_there(
    records: Records, tmp_path: Path, records_name: str, out: str, problem: str
) -> None:
    (tmp_path / out).write_text("before")
    (tmp_path / "text.sqlite").write_text("no database, but long enough to look like one" * 40)

    with pytest.raises(RecordsError, match=problem):
        export(tmp_path / records_name, tmp_path / out)
    assert (tmp_path / out).read_text() == "before"
    assert not list(tmp_path.glob(".*.part"))


def test_a_place_that_cannot_be_written_is_told_by_its_name(records: Records, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"No such file or directory: '{tmp_path / 'none' / 'parts.csv'}'"):
        export(records.path, tmp_path / "none" / "parts.csv")


def test_a_table_that_is_gone_is_said(records: Records, tmp_path: Path) -> None:
    with closing(connect(records.path)) as connection, connection:
        connection.execute("DROP TABLE defects")

    with pytest.raises(RecordsError, match="no such table"):
        export(records.path, tmp_path / "parts.csv")
    assert not (tmp_path / "parts.csv").exists()


def test_parquet_without_its_software_is_one_line(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # what an import finds where it is not installed

    with pytest.raises(RecordsError, match=r"pip install 'edge-inspect\[parquet\]'"):
        export(records.path, tmp_path / "parts.parquet")
