"""Review of parts at the page: the queue, one part with its frames and marks, new marks."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from bundle import Verdict
from edge.page.part_queries import FoundPart, PartQuery, find_parts, shown_mark
from edge.page.review_messages import (
    AskedMark,
    CandidateOpinion,
    GivenMark,
    MarkedOutline,
    MarksAnswer,
    MarksRequest,
    ProposedOutline,
    ReviewedPart,
    ReviewedView,
    SampleShare,
)
from edge.records.database import reading
from edge.records.retention import BLOBS, OVERLAYS
from edge.records.stored_pictures import inside
from edge.reports.kappa import share_of
from edge.review.marks import Mark, MarkedDefect, StoredMark, add_marks, marks_of
from edge.review.queue import ReviewCandidate, review_queue, sample_result
from edge.trial.candidate import TrialOutline

MOST_BLOBS_BYTES = 4_000_000
"""Size of a file of outlines that is read, at most."""
_Proposals = TypeAdapter(tuple[ProposedOutline, ...])
_Outlines = TypeAdapter(tuple[TrialOutline, ...])
_CANDIDATE = f"""
    SELECT trials.bundle_id, trials.verdict, trials.class, trials.score, trials.outlines
    FROM trials JOIN parts ON parts.number = trials.part WHERE trials.part = ? AND trials.verdict IS NOT NULL
    ORDER BY (trials.verdict = {Verdict.OK.value}) = (parts.verdict = {Verdict.OK.value}) LIMIT 1"""


def queued(records: Path, thresholds: Mapping[str, float], most: int) -> list[tuple[FoundPart, ReviewCandidate]]:
    """Return the parts worth a person's look, the most instructive first; raises RecordsError."""
    with reading(records) as connection:
        listed = review_queue(connection, thresholds, most)
    found = find_parts(records, PartQuery(rows=tuple(one.row for one in listed), limit=most)) if listed else []
    by_row = {one.part.number: one for one in found}
    return [(by_row[one.row], one) for one in listed if one.row in by_row]


def sample_share(records: Path, bundle_id: str) -> SampleShare:
    """Estimate the share of defective parts among those that this bundle passed; raises RecordsError."""
    with reading(records) as connection:
        found = sample_result(connection, bundle_id)
    if not found.marked:
        return SampleShare(marked=0, defective=0, share=None, low=None, high=None)
    share = share_of(found.defective, found.marked)
    return SampleShare(
        marked=found.marked, defective=found.defective, share=share.value, low=share.low, high=share.high
    )


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
        candidate = connection.execute(_CANDIDATE, (number,)).fetchone()
    opinion, outlines = _opinion(*candidate) if candidate else (None, ())
    return ReviewedPart(
        **found[0].part.model_dump(),
        views=tuple(_view(number, pictures, outlines, *view) for view in views),
        marks=marks,
        candidate=opinion,
    )


def give_marks(records: Path, asked: MarksRequest, who: str) -> MarksAnswer:
    """Write the marks of a request under a name. Raises MarkError, RecordsError."""
    numbers = add_marks(records, [_mark(who, one) for one in asked.marks])
    return MarksAnswer(numbers=tuple(numbers), time=datetime.now(timezone.utc))


def _mark(who: str, asked: AskedMark) -> Mark:
    defects = tuple(MarkedDefect(one.camera, one.class_name, one.polygons) for one in asked.defects)
    return Mark(asked.part, asked.truth, who, defects, asked.note, asked.sampled)


def _given(stored: StoredMark) -> GivenMark:
    outlines = tuple(
        MarkedOutline(camera=one.camera, class_name=one.class_name, polygons=one.polygons)
        for one in stored.mark.defects
    )
    return GivenMark(**shown_mark(stored).model_dump(), outlines=outlines)


def _opinion(
    bundle_id: str, verdict: int, class_name: str | None, score: float | None, outlines: str | None
) -> tuple[CandidateOpinion, tuple[TrialOutline, ...]]:
    """A candidate's opinion with its outlines; none of these where another program wrote them."""
    try:
        found = _Outlines.validate_json(outlines) if outlines else ()
    except ValidationError:
        found = ()
    name = Verdict(verdict).name
    return CandidateOpinion(bundle_id=bundle_id, verdict=name, class_name=class_name or "", score=score), found


def _view(
    number: int,
    pictures: Path | None,
    outlines: tuple[TrialOutline, ...],
    camera: str,
    width: int,
    height: int,
    picture: str | None,
) -> ReviewedView:
    kept = pictures is not None and picture is not None and inside(pictures, picture) is not None
    return ReviewedView(
        camera=camera,
        width=width,
        height=height,
        frame=f"api/frames/{number}/{quote(camera, safe='')}" if kept else None,
        proposals=_proposals(pictures, picture) if pictures is not None and picture is not None else (),
        candidate=tuple(
            ProposedOutline(class_name=one.class_name, score=one.score, polygon=one.polygon)
            for one in outlines
            if one.camera == camera
        ),
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
