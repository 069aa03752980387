"""Queries of the records for the page: the last day, parts by id or time, stored pictures."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np

from bundle import Verdict
from edge.page.history import KEPT_MINUTES, REJECTS, History
from edge.page.state import DefectState, PartState
from edge.records.database import reading
from edge.records.overlay import JPEG_QUALITY, PAGE_PX
from edge.records.retention import OVERLAYS

LAST_ROW = 2**62
"""More than any row's number."""
_COLUMNS = "number, time, part_id, verdict, told, fault, sent_us, bundle_id"


@dataclass(frozen=True)
class PartQuery:
    """Filter of a query for parts; None disables a condition."""

    before: int | None = None
    """Only rows before this one."""
    verdict: str | None = None
    part_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Aware; parts that were triggered from `since` on and before `until`."""
    limit: int = 50

    def sql(self) -> tuple[str, tuple[object, ...]]:
        """Return the query with its values; the newest part comes first."""
        wanted: dict[str, object | None] = {
            "number < ?": self.before or LAST_ROW,
            "verdict = ?": None if self.verdict is None else int(Verdict[self.verdict]),
            "part_id = ?": self.part_id,
            "time >= ?": None if self.since is None else _utc(self.since),
            "time < ?": None if self.until is None else _utc(self.until),
        }
        chosen = {condition: value for condition, value in wanted.items() if value is not None}
        by_time = "time >= ?" in chosen or "time < ?" in chosen  # the order of an index, so that the limit ends it
        order = "time DESC, number DESC" if by_time and self.part_id is None else "number DESC"
        query = f"SELECT {_COLUMNS} FROM parts WHERE {' AND '.join(chosen)} ORDER BY {order} LIMIT ?"
        return query, (*chosen.values(), self.limit)


def find_parts(records: Path, wanted: PartQuery) -> list[tuple[PartState, tuple[str, ...]]]:
    """Give parts with the cameras of their stored pictures, the newest first; raises RecordsError."""
    with reading(records) as connection:
        rows = connection.execute(*wanted.sql()).fetchall()
        defects: dict[int, list[DefectState]] = {row[0]: [] for row in rows}
        cameras: dict[int, list[str]] = {row[0]: [] for row in rows}
        marks = ", ".join("?" * len(rows))
        query = f"SELECT part, class, score, area_px, camera FROM defects WHERE part IN ({marks}) ORDER BY score DESC"
        for number, name, score, area_px, camera in connection.execute(query, tuple(defects)):
            defects[number].append(DefectState(class_name=name, score=score, area_px=area_px, camera=camera))
        query = f"SELECT part, camera FROM views WHERE part IN ({marks}) AND picture IS NOT NULL ORDER BY rowid"
        for number, camera in connection.execute(query, tuple(defects)):
            cameras[number].append(camera)
    return [
        (
            PartState(
                number=number,
                time=datetime.fromisoformat(time),
                part_id=part_id,
                verdict=Verdict(given).name,
                told=Verdict(told).name,
                defects=tuple(defects[number]),
                fault=fault,
                latency_ms=None if sent_us is None else sent_us / 1e3,
                bundle_id=bundle_id,
            ),
            tuple(cameras[number]),
        )
        for number, time, part_id, given, told, fault, sent_us, bundle_id in rows
    ]


def stored_jpeg(records: Path, folder: Path, number: int, camera: str) -> bytes | None:
    """Encode a stored picture for the page, with its outlines where it has any; None if it was not kept or is gone.

    Raises RecordsError.
    """
    with reading(records) as connection:
        row = connection.execute(
            "SELECT picture FROM views WHERE part = ? AND camera = ? AND picture IS NOT NULL", (number, camera)
        ).fetchone()
    if row is None:
        return None
    for path in (folder / OVERLAYS / row[0], folder / row[0]):
        inside = path.resolve().is_relative_to(folder.resolve())  # a name in a file is never trusted as a path
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if inside and path.is_file() else None
        if image is not None:
            return _jpeg(image)
    return None


def recall(history: History, records: Path, next_number: int, now: datetime) -> None:
    """Load the verdicts of the last day and its latest rejects from the records, for a restarted page.

    Raises RecordsError.
    """
    if not records.is_file():
        return
    start = now - timedelta(minutes=KEPT_MINUTES)
    since, until = (at.isoformat(timespec="milliseconds") for at in (start, now))
    query = """
        SELECT substr(time, 1, 16), verdict, count(*) FROM parts
        WHERE number < ? AND number >= (SELECT number FROM parts WHERE time >= ? ORDER BY time LIMIT 1)
          AND time BETWEEN ? AND ?
        GROUP BY 1, 2 ORDER BY 1"""
    with reading(records) as connection:
        for minute, verdict, parts in connection.execute(query, (next_number, since, since, until)):
            history.count(datetime.fromisoformat(f"{minute}+00:00"), Verdict(verdict).name, parts)
    latest: list[tuple[PartState, tuple[str, ...]]] = []
    for verdict in Verdict:
        if verdict is not Verdict.OK:
            wanted = PartQuery(before=next_number, verdict=verdict.name, limit=REJECTS)
            latest += [found for found in find_parts(records, wanted) if start <= found[0].time <= now]
    history.recall_rejects(sorted(latest, key=lambda found: found[0].number))


def _utc(at: datetime) -> str:
    """Time in the format of the rows; a time without a zone is one of the station's clock."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def _jpeg(image: np.ndarray) -> bytes:
    scale = min(1.0, PAGE_PX / max(image.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    done, content = cv2.imencode(
        ".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"the picture of {image.shape} could not be made a JPEG")
    return content.tobytes()
