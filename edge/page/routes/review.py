"""Routes of the review: the queue, one part with its frames, marks."""

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import PlainTextResponse

from edge.errors import MarkError, RecordsError
from edge.page.gate import MARKS, who
from edge.page.page_model import PageModel
from edge.page.part_queries import LAST_ROW, whole_frame_jpeg
from edge.page.review import give_marks, part_for_review, queued, sample_share
from edge.page.review_messages import MarksAnswer, MarksRequest, QueuedPart, ReviewedPart, SampleShare
from edge.reports.trial import trial_text


def add_review(app: FastAPI, model: PageModel) -> None:
    """Add the routes of the review: reading for everyone, marks for inspectors."""
    records = Path(model.welcome.records)
    pictures = None if model.welcome.pictures is None else Path(model.welcome.pictures)

    @app.get("/api/queue")
    def queue(most: Annotated[int, Query(ge=1, le=200)] = 50) -> list[QueuedPart]:
        """Parts worth a person's look, the most instructive first, each with the reason."""
        try:
            found = queued(records, model.thresholds(), most)
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None
        shown = ((model.shown(one.part, one.cameras, one.mark), listed) for one, listed in found)
        return [QueuedPart(**part.model_dump(), reason=one.reason, sampled=one.sampled) for part, one in shown]

    @app.get("/api/sample")
    def sample() -> SampleShare:
        """Share of defective parts among those that the bundle in use passed, estimated on the random sample."""
        try:
            return sample_share(records, model.station.bundle_id if model.station else "")
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None

    @app.get("/api/trial-report", response_class=PlainTextResponse)
    def trial_report() -> Response:
        """Report of the trials on record, as `edge-inspect trial report` prints it."""
        try:
            return PlainTextResponse(trial_text(records))
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None

    @app.get("/api/parts/{number}")
    def part(number: Annotated[int, PathParameter(ge=0, le=LAST_ROW)]) -> ReviewedPart:
        """One part with its frames, the network's outlines and its marks."""
        try:
            found = part_for_review(records, pictures, number)
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None
        if found is None:
            raise HTTPException(404, f"row {number}: found no such part")
        return found

    @app.get("/api/frames/{number}/{camera}", response_class=Response)
    def frame(number: Annotated[int, PathParameter(ge=0, le=LAST_ROW)], camera: str) -> Response:
        """Whole frame of one view as JPEG, as the camera gave it."""
        try:
            content = None if pictures is None else whole_frame_jpeg(records, pictures, number, camera)
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None
        if content is None:
            raise HTTPException(404, f"no frame of row {number}, camera {camera}: none was kept, or it was deleted")
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "max-age=3600"})

    @app.post(MARKS)
    def marks(asked: MarksRequest, request: Request) -> MarksAnswer:
        """Add marks beside the station's verdicts, all of the request or none; nothing is ever overwritten."""
        try:
            return give_marks(records, asked, who(request.scope, asked.who))
        except MarkError as error:
            raise HTTPException(422, str(error)) from None
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None
