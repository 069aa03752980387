"""Marks: what people say of a part, beside the station's verdict, which stays as it is."""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, get_args

from bundle.manifest import name_problem
from edge.errors import MarkError, RecordsError
from edge.records.database import advice, connect_existing

Truth = Literal["good", "defective", "unclear"]
Polygon = tuple[tuple[int, int], ...]
"""Corners x, y in pixels of the frame."""

NONE, NETWORK = "none", "network"
"""Stored outlines besides polygons: not outlined, and the station's own outline, confirmed."""
LONGEST_TEXT = 500
"""Characters of a name or note."""
LONGEST_SIDE = 65_536
"""Pixels of a frame's longer side."""
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""Start of a time in ISO 8601; SQLite takes bare numbers and words as times too."""
MOST_POINTS = 10_000
"""Corners of all polygons of a defect."""


@dataclass(frozen=True)
class MarkedDefect:
    """A class of a defective part, in the frame of one camera."""

    camera: str
    class_name: str
    polygons: tuple[Polygon, ...] = ()
    """Drawn outline; empty if it was not drawn."""
    by_network: bool = False
    """Whether the outline of the network is confirmed; only without polygons."""

    @property
    def outline(self) -> str:
        """As stored in the column of this name."""
        return json.dumps(self.polygons) if self.polygons else NETWORK if self.by_network else NONE

    @classmethod
    def stored(cls, camera: str, class_name: str, outline: str) -> "MarkedDefect":
        """Restore a defect from its row; raises ValueError for one that `add_marks` would not have written."""
        if problem := name_problem(class_name):
            raise ValueError(f"class: {problem}")
        if outline in (NONE, NETWORK):
            return cls(camera, class_name, (), outline == NETWORK)
        try:
            polygons = tuple(tuple((int(x), int(y)) for x, y in polygon) for polygon in json.loads(outline))
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise ValueError(f"outline: found {outline[:40]!r}, expected polygons") from None
        if any(not 0 <= value < LONGEST_SIDE for polygon in polygons for corner in polygon for value in corner):
            raise ValueError("outline: found corners outside every frame")
        return cls(camera, class_name, polygons)


@dataclass(frozen=True)
class Mark:
    """One person's opinion about one part."""

    part: int
    """Row of the part."""
    truth: Truth
    who: str
    defects: tuple[MarkedDefect, ...] = ()
    """Of a defective part: at least one."""
    note: str = ""
    sampled: bool = False
    """Whether the queue drew the part at random from the passed ones."""


@dataclass(frozen=True)
class StoredMark:
    """A mark with its row and time."""

    number: int
    time: str
    """UTC, ISO 8601."""
    mark: Mark


def add_marks(records: Path, marks: Sequence[Mark]) -> list[int]:
    """Add marks to the records of a station, which may be running, all or none; returns their rows.

    Raises MarkError for a part or camera that the records do not have, or a mark that does not make sense;
    RecordsError for records that cannot be opened.
    """
    for mark in marks:
        _check(mark)
    with closing(connect_existing(records)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for mark in marks:
                _check_views(connection, mark)
            numbers = [_insert(connection, mark) for mark in marks]
            connection.execute("COMMIT")
        except UnicodeEncodeError:
            raise MarkError("found a name or note that is no Unicode text; write it again") from None
        except sqlite3.Error as error:
            raise MarkError(f"records {records}: no mark was written ({error}); {advice(error)}") from None
    return numbers


def add_mark(records: Path, mark: Mark) -> int:
    """Add one mark; see `add_marks`."""
    return add_marks(records, [mark])[0]


def latest_marks(connection: sqlite3.Connection) -> Iterator[StoredMark]:
    """Yield the latest mark of each part, in the order of the parts."""
    rows = connection.execute("SELECT max(number), part FROM marks GROUP BY part ORDER BY part").fetchall()
    for number, _ in rows:
        yield _mark(connection, number)


def latest_of(connection: sqlite3.Connection, parts: Sequence[int]) -> Iterator[StoredMark]:
    """Yield the latest mark of each of these parts that has one."""
    listed = ", ".join("?" * len(parts))
    query = f"SELECT max(number) FROM marks WHERE part IN ({listed}) GROUP BY part"
    for (number,) in connection.execute(query, tuple(parts)).fetchall():
        yield _mark(connection, number)


def marks_of(connection: sqlite3.Connection, part: int) -> list[StoredMark]:
    """Return all marks of a part, the latest last."""
    rows = connection.execute("SELECT number FROM marks WHERE part = ? ORDER BY number", (part,)).fetchall()
    return [_mark(connection, number) for (number,) in rows]


def row_of(connection: sqlite3.Connection, part_id: int, near: str | None = None) -> int:
    """Return the row of the part with this id: the latest, or the one nearest to a UTC time, ISO 8601.

    Raises MarkError if there is none, or for a time that is none.
    """
    if near is not None and (
        not DATE.match(near) or connection.execute("SELECT julianday(?)", (near,)).fetchone() == (None,)
    ):
        raise MarkError(f"found the time {near!r}, expected UTC in ISO 8601, such as 2026-05-04T06:10; correct it")
    order = "number DESC" if near is None else "abs(julianday(time) - julianday(?2))"
    values = (part_id,) if near is None else (part_id, near)
    found = connection.execute(
        f"SELECT number FROM parts WHERE part_id = ?1 ORDER BY {order} LIMIT 1", values
    ).fetchone()
    if found is None:
        raise MarkError(f"found no part with the id {part_id}, expected one of the records; check id and line.toml")
    return int(found[0])


def _check(mark: Mark) -> None:
    if mark.truth not in get_args(Truth):
        raise MarkError(f"found {mark.truth!r}, expected one of {', '.join(get_args(Truth))}")
    if bool(mark.defects) != (mark.truth == "defective"):
        raise MarkError(
            f"found {len(mark.defects)} classes for a part that is {mark.truth}, expected at least one of a defective "
            "part and none of another; name the class of its defect, or choose what else the part is"
        )
    for name, text in (("who", mark.who), ("note", mark.note)):
        if len(text) > LONGEST_TEXT or not text.isprintable() or (name == "who" and not text.strip()):
            raise MarkError(f"{name}: found {text[:40]!r}, expected up to {LONGEST_TEXT} printable characters")
    for defect in mark.defects:
        if problem := name_problem(defect.class_name):
            raise MarkError(f"class {defect.class_name!r}: {problem}")
        if any(len(polygon) < 3 for polygon in defect.polygons):
            raise MarkError(f"{defect.class_name}: found an outline with fewer than 3 corners, expected a polygon")
        if sum(map(len, defect.polygons)) > MOST_POINTS:
            raise MarkError(f"{defect.class_name}: found an outline with more than {MOST_POINTS} corners")


def _check_views(connection: sqlite3.Connection, mark: Mark) -> None:
    query = "SELECT camera, width, height FROM views WHERE part = ?"
    sizes = {camera: (width, height) for camera, width, height in connection.execute(query, (mark.part,))}
    if not sizes and connection.execute("SELECT 1 FROM parts WHERE number = ?", (mark.part,)).fetchone() is None:
        raise MarkError(f"row {mark.part}: found no such part, expected one of the records; check the row")
    for defect in mark.defects:
        if defect.camera not in sizes:
            cameras = ", ".join(sizes) or "none, it has no frame"
            raise MarkError(f"row {mark.part}: found the camera {defect.camera!r}, expected one of {cameras}")
        width, height = sizes[defect.camera]
        corners: Sequence[tuple[int, int]] = [corner for polygon in defect.polygons for corner in polygon]
        outside = [corner for corner in corners if not (0 <= corner[0] < width and 0 <= corner[1] < height)]
        if outside:
            raise MarkError(
                f"row {mark.part}: {defect.class_name}: found the corner {outside[0]}, expected corners inside the "
                f"frame of {width}x{height}"
            )


def _insert(connection: sqlite3.Connection, mark: Mark) -> int:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    statement = "INSERT INTO marks (time, who, part, truth, note, sampled) VALUES (?, ?, ?, ?, ?, ?)"
    values = now, mark.who, mark.part, mark.truth, mark.note, mark.sampled
    number = connection.execute(statement, values).lastrowid or 0
    connection.executemany(
        "INSERT INTO marked_defects (mark, camera, class, outline) VALUES (?, ?, ?, ?)",
        ((number, defect.camera, defect.class_name, defect.outline) for defect in mark.defects),
    )
    return number


def _mark(connection: sqlite3.Connection, number: int) -> StoredMark:
    query = "SELECT time, part, truth, who, note FROM marks WHERE number = ?"
    time, part, truth, who, note = connection.execute(query, (number,)).fetchone()
    defects = connection.execute(
        "SELECT camera, class, outline FROM marked_defects WHERE mark = ? ORDER BY rowid", (number,)
    )
    try:
        found = tuple(MarkedDefect.stored(*row) for row in defects)
    except ValueError as error:
        raise RecordsError(
            f"records: mark {number} of row {part}: {error}; another program wrote it; restore the file from a copy"
        ) from None
    return StoredMark(number, time, Mark(part, truth, who, found, note))
