"""Records with rows made by hand."""

from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

from edge.records.database import connect

START = datetime(2026, 3, 1, tzinfo=timezone.utc)


def at(second: int) -> str:
    """Time of a row, UTC."""
    return (START + timedelta(seconds=second)).isoformat(timespec="milliseconds")


def insert(path: Path, *numbers: int, later_s: int = 0) -> None:
    """Write parts with one view and two defects each."""
    with closing(connect(path)) as connection:
        for number in numbers:
            values = (number, at(number + later_s), number, 0, 2, 2, "", "b")
            names = "number, time, part_id, encoder, verdict, told, fault, bundle_id"
            connection.execute(f"INSERT INTO parts ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            view = (number, "top", 1, "film", 8, 8)
            connection.execute(
                "INSERT INTO views (part, camera, exposure, source, width, height) VALUES (?,?,?,?,?,?)", view
            )
            for score in (0.9, 0.8):
                defect = (number, "top", "Dark", score, 4.0, 1, 2, 3, 4)
                names = "part, camera, class, score, area_px, x, y, width, height"
                connection.execute(f"INSERT INTO defects ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", defect)
