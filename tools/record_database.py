"""Drawn databases of records, and every reader of the records as a step to be measured."""

import random
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SCHEMA = REPOSITORY / "edge" / "records" / "schema"
NEWEST = max(int(step.stem) for step in SCHEMA.glob("*.sql"))
"""Newest version of the schema."""
BEGAN = datetime(2026, 1, 5, 6, tzinfo=timezone.utc)
CHUNK = 20_000
DRAWN = 1_000_000
"""Parts that are drawn; larger databases repeat them with later numbers and times."""
CLASSES = ("Bright", "Dark", "Crack")

STEPS = {
    "open": "from edge.records.writer import Records; Records(path).close()",
    "report": "from edge.cli import main; main(['report', str(path)])",
    "report, HTML": "from edge.cli import main; main(['report', str(path), '--html', str(path.with_suffix('.html'))])",
    "report, PDF": "from edge.cli import main; main(['report', str(path), '--pdf', str(path.with_suffix('.pdf'))])",
    "closing report": "from edge.records.summary import closing_report\n"
    "from rich.console import Console\n"
    "Console().print(*closing_report(path, 1))",
    "export parts": "from edge.records.export import export; export(path, path.with_suffix('.csv'))",
    "export defects": "from edge.records.export import export; export(path, path.with_suffix('.csv'), 'defects')",
    "page start": "from edge.page.part_queries import *; recall(History(), path, 10**9, now)",
    "page part id": "from edge.page.part_queries import *; find_parts(path, PartQuery(part_id=3))",
    "page rare verdict": "from edge.page.part_queries import *; find_parts(path, PartQuery(verdict='UNSURE'))",
    "page hour": "from datetime import timedelta; from edge.page.part_queries import *\n"
    "find_parts(path, PartQuery(since=now - timedelta(days=9), until=now - timedelta(hours=1)))",
    "review queue": "from edge.records.database import reading; from edge.review.queue import *\n"
    "with reading(path) as connection: review_queue(connection, {'Bright': 0.5}, 20)",
}
"""Name -> Python source over `path`, a Path, and `now`, the time of the last row."""


def last_moment(parts: int) -> datetime:
    """Return the time of the last row."""
    return BEGAN + timedelta(seconds=parts / 10)


def draw(path: Path, parts: int, version: int) -> None:
    """Write a database of `parts` rows, ten a second, one of twenty NG with one to three defects."""
    artist = random.Random(2026)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
        for step in range(1, version + 1):
            connection.executescript((SCHEMA / f"{step}.sql").read_text(encoding="utf-8"))
        drawn = min(parts, DRAWN)
        for first in range(1, drawn + 1, CHUNK):
            draw_chunk(connection, artist, range(first, min(first + CHUNK, drawn + 1)))
            connection.commit()
        for first in range(DRAWN, parts, DRAWN):
            repeat_rows(connection, first, min(DRAWN, parts - first))
            connection.commit()


def draw_chunk(connection: sqlite3.Connection, artist: random.Random, numbers: range) -> None:
    """Write the rows of these numbers."""
    rows, views, defects = [], [], []
    for number in numbers:
        at = (BEGAN + timedelta(seconds=number / 10)).isoformat(timespec="milliseconds")
        verdict = 2 if artist.random() < 0.05 else 3 if number == 1000 else 1
        found = [artist.random() for _ in range(artist.randint(1, 3))] if verdict == 2 else []
        name = artist.choice(CLASSES) if found else None
        stamps = [int(artist.gammavariate(9, 1000))]
        for _ in range(6):
            stamps.append(stamps[-1] + int(artist.gammavariate(3, 500)))
        strongest = (name, max(found), 20.0) if found else (None, None, None)
        identity = number, at, number % 2**20, number * 4, verdict, verdict
        rows.append((*identity, *strongest, "", "ab" * 32, *stamps, "acknowledged"))
        views.append((number, "camera", number, "synthetic", 320, 320, f"reject/{number}.png" if found else None))
        defects += [(number, "camera", name, score, 20.0, None, 1, 2, 3, 4) for score in found]
    connection.executemany(
        "INSERT INTO parts (number, time, part_id, encoder, verdict, told, class, score, area_px, fault, bundle_id, "
        "frame_us, prepared_us, inferred_us, decided_us, recorded_us, sent_us, acknowledged_us, link) "
        f"VALUES ({', '.join('?' * 19)})",
        rows,
    )
    connection.executemany(f"INSERT INTO views VALUES ({', '.join('?' * 7)})", views)
    connection.executemany(f"INSERT INTO defects VALUES ({', '.join('?' * 10)})", defects)


def repeat_rows(connection: sqlite3.Connection, first: int, parts: int) -> None:
    """Copy the rows 1 to `parts` to the numbers after `first`, with the times that belong to them."""
    later = f"strftime('%Y-%m-%dT%H:%M:%f', time, '+{first // 10} seconds') || '+00:00'"
    changed = {"number": f"number + {first}", "part": f"part + {first}", "time": later}
    for table, key in (("parts", "number"), ("views", "part"), ("defects", "part")):
        names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(changed.get(name, name) for name in names)
        connection.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {key} <= ?", (parts,))


def drawn_database(folder: Path, parts: int, version: int) -> Path:
    """Return a fresh copy, `measured.sqlite`, of a database of this size; the drawn one stays in the folder."""
    drawn = folder / f"{parts}-version-{version}.sqlite"
    if not drawn.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = drawn.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        draw(unfinished, parts, version)
        unfinished.rename(drawn)
    path = folder / "measured.sqlite"
    for old in folder.glob("measured.*"):
        old.unlink()
    shutil.copyfile(drawn, path)
    return path
