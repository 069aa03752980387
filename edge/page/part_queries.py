"""Queries of the records for the page: the last day, parts by row, id or time, stored pictures."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from bundle import Verdict
from edge.page.history import KEPT_MINUTES, PAUSED, REJECTS, History
from edge.page.state import PartMark
from edge.part import PAUSED_BY
from edge.records.database import reading
from edge.records.overlay import PAGE_PX
from edge.records.stored_pictures import drawn_jpeg, frame_jpeg
from edge.review.marks import Mark, StoredMark, latest_of
from edge.servers.state import DefectState, PartState

LAST_ROW = 2**62
"""More than any row's number."""
FRAME_PX = 1600
"""Longer side of a frame to draw on."""
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
    rows: tuple[int, ...] = ()
    """Only these rows; empty disables the condition."""
    with_pauses: bool = True
    """Whether parts of an operator's pause are included."""

    def sql(self) -> tuple[str, tuple[object, ...]]:
        """Return the query with its values; the newest part comes first."""
        wanted: dict[str, object | None] = {
            "number < ?": self.before or LAST_ROW,
            "verdict = ?": None if self.verdict is None else int(Verdict[self.verdict]),
            "part_id = ?": self.part_id,
            "time >= ?": None if self.since is None else _utc(self.since),
            "time < ?": None if self.until is None else _utc(self.until),
            "fault NOT LIKE ?": None if self.with_pauses else f"{PAUSED_BY}%",
        }
        chosen = {condition: value for condition, value in wanted.items() if value is not None}
        listed = f" AND number IN ({', '.join('?' * len(self.rows))})" if self.rows else ""
        by_time = "time >= ?" in chosen or "time < ?" in chosen  # the order of an index, so that the limit ends it
        order = "time DESC, number DESC" if by_time and self.part_id is None else "number DESC"
        query = f"SELECT {_COLUMNS} FROM parts WHERE {' AND '.join(chosen)}{listed} ORDER BY {order} LIMIT ?"
        return query, (*chosen.values(), *self.rows, self.limit)


@dataclass(frozen=True)
class FoundPart:
    """A part of the records."""

    part: PartState
    cameras: tuple[str, ...]
    """Those whose pictures were stored."""
    mark: PartMark | None
    """The latest mark."""


def find_parts(records: Path, wanted: PartQuery) -> list[FoundPart]:
    """Return parts, the newest first; raises RecordsError."""
    with reading(records) as connection:
        rows = connection.execute(*wanted.sql()).fetchall()
        if not rows:
            return []
        defects: dict[int, list[DefectState]] = {row[0]: [] for row in rows}
        cameras: dict[int, list[str]] = {row[0]: [] for row in rows}
        marks = ", ".join("?" * len(rows))
        query = f"SELECT part, class, score, area_px, camera FROM defects WHERE part IN ({marks}) ORDER BY score DESC"
        for number, name, score, area_px, camera in connection.execute(query, tuple(defects)):
            defects[number].append(DefectState(class_name=name, score=score, area_px=area_px, camera=camera))
        query = f"SELECT part, camera FROM views WHERE part IN ({marks}) AND picture IS NOT NULL ORDER BY rowid"
        for number, camera in connection.execute(query, tuple(defects)):
            cameras[number].append(camera)
        marked = {one.mark.part: shown_mark(one) for one in latest_of(connection, tuple(defects))}
    return [
        FoundPart(
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
            marked.get(number),
        )
        for number, time, part_id, given, told, fault, sent_us, bundle_id in rows
    ]


def shown_mark(stored: StoredMark) -> PartMark:
    """Return a mark as the page shows it."""
    mark: Mark = stored.mark
    classes = tuple(dict.fromkeys(defect.class_name for defect in mark.defects))
    at = datetime.fromisoformat(stored.time)
    return PartMark(who=mark.who, time=at, truth=mark.truth, classes=classes, note=mark.note)


def picture_jpeg(records: Path, folder: Path, number: int, camera: str) -> bytes | None:
    """Encode a stored picture for the page, with its outlines where it has any; None if it was not kept or is gone.

    Raises RecordsError.
    """
    name = _stored_name(records, number, camera)
    return None if name is None else drawn_jpeg(folder, name, PAGE_PX)


def whole_frame_jpeg(records: Path, folder: Path, number: int, camera: str) -> bytes | None:
    """Encode a stored frame, whole and without outlines, to draw on; None if it was not kept or is gone.

    Raises RecordsError.
    """
    name = _stored_name(records, number, camera)
    return None if name is None else frame_jpeg(folder, name, FRAME_PX)


def _stored_name(records: Path, number: int, camera: str) -> str | None:
    query = "SELECT picture FROM views WHERE part = ? AND camera = ? AND picture IS NOT NULL"
    with reading(records) as connection:
        row = connection.execute(query, (number, camera)).fetchone()
    return None if row is None else str(row[0])


def recall(history: History, records: Path, next_number: int, now: datetime) -> None:
    """Load the verdicts of the last day and its latest rejects from the records, for a restarted page.

    Raises RecordsError.
    """
    if not records.is_file():
        return
    start = now - timedelta(minutes=KEPT_MINUTES)
    since, until = (at.isoformat(timespec="milliseconds") for at in (start, now))
    query = """
        SELECT substr(time, 1, 16), verdict, fault LIKE ? AS paused, count(*) FROM parts
        WHERE number < ? AND number >= (SELECT number FROM parts WHERE time >= ? ORDER BY time LIMIT 1)
          AND time BETWEEN ? AND ?
        GROUP BY 1, 2, 3 ORDER BY 1"""
    with reading(records) as connection:
        values = (f"{PAUSED_BY}%", next_number, since, since, until)
        for minute, verdict, paused, parts in connection.execute(query, values):
            name = PAUSED if paused else Verdict(verdict).name
            history.count(datetime.fromisoformat(f"{minute}+00:00"), name, parts)
    latest: list[FoundPart] = []
    for verdict in Verdict:
        if verdict is not Verdict.OK:
            wanted = PartQuery(before=next_number, verdict=verdict.name, limit=REJECTS, with_pauses=False)
            latest += [found for found in find_parts(records, wanted) if start <= found.part.time <= now]
    latest.sort(key=lambda found: found.part.number)
    history.recall_rejects((found.part, found.cameras) for found in latest)


def _utc(at: datetime) -> str:
    """Time in the format of the rows; a time without a zone is one of the station's clock."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds")
