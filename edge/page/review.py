"""Review of parts at the page: the queue, one part with its frames and marks, new marks."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from edge.page.part_queries import FoundPart, PartQuery, find_parts, shown_mark
from edge.page.review_messages import (
    AskedMark,
    GivenMark,
    MarkedOutline,
    MarksAnswer,
    MarksRequest,
    ProposedOutline,
    ReviewedPart,
    ReviewedView,
)
from edge.records.database import reading
from edge.records.retention import BLOBS, OVERLAYS
from edge.records.stored_pictures import inside
from edge.review.marks import Mark, MarkedDefect, StoredMark, add_marks, marks_of
from edge.review.queue import review_queue

MOST_BLOBS_BYTES = 4_000_000
"""Size of a file of outlines that is read, at most."""
_Proposals = TypeAdapter(tuple[ProposedOutline, ...])


def queued(records: Path, thresholds: Mapping[str, float], most: int) -> list[tuple[FoundPart, str]]:
    """Return the parts worth a person's look with the reasons, the most instructive first; raises RecordsError."""
    with reading(records) as connection:
        reasons = {one.row: one.reason for one in review_queue(connection, thresholds, most)}
    found = find_parts(records, PartQuery(rows=tuple(reasons), limit=most)) if reasons else []
    by_row = {one.part.number: one for one in found}
    return [(by_row[row], reason) for row, reason in reasons.items() if row in by_row]


def part_for_review(records: Path, pictures: Path | None, number: int) -> ReviewedPart | None:
    """Return a part with its frames, the network's outlines and all its marks; None if there is no such row.

    Raises RecordsError.
    """
    found = find_parts(records, PartQuery(rows=(number,), limit=1))
    if not found:
        return None
    with reading(records) as connection:
        query = "SELECT camera, width, height, picture FROM views WHERE part = ? ORDER BY rowid"
        views = connection.execute(query, (number,)).fetchall()
        marks = tuple(_given(one) for one in marks_of(connection, number))
    return ReviewedPart(
        **found[0].part.model_dump(), views=tuple(_view(number, pictures, *view) for view in views), marks=marks
    )


def give_marks(records: Path, asked: MarksRequest, who: str) -> MarksAnswer:
    """Write the marks of a request under a name. Raises MarkError, RecordsError."""
    numbers = add_marks(records, [_mark(who, one) for one in asked.marks])
    return MarksAnswer(numbers=tuple(numbers), time=datetime.now(timezone.utc))


def _mark(who: str, asked: AskedMark) -> Mark:
    defects = tuple(MarkedDefect(one.camera, one.class_name, one.polygons) for one in asked.defects)
    return Mark(asked.part, asked.truth, who, defects, asked.note)


def _given(stored: StoredMark) -> GivenMark:
    outlines = tuple(
        MarkedOutline(camera=one.camera, class_name=one.class_name, polygons=one.polygons)
        for one in stored.mark.defects
    )
    return GivenMark(**shown_mark(stored).model_dump(), outlines=outlines)


def _view(
    number: int, pictures: Path | None, camera: str, width: int, height: int, picture: str | None
) -> ReviewedView:
    kept = pictures is not None and picture is not None and inside(pictures, picture) is not None
    return ReviewedView(
        camera=camera,
        width=width,
        height=height,
        frame=f"api/frames/{number}/{quote(camera, safe='')}" if kept else None,
        proposals=_proposals(pictures, picture) if pictures is not None and picture is not None else (),
    )


def _proposals(pictures: Path, picture: str) -> tuple[ProposedOutline, ...]:
    """Read the outlines beside an overlay; none where there is no such file, or one of another program."""
    path = inside(pictures, f"{OVERLAYS}/{picture}{BLOBS}")
    if path is None or path.stat().st_size > MOST_BLOBS_BYTES:
        return ()
    try:
        return _Proposals.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, ValidationError):
        return ()
