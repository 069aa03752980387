"""Routes of those who do something: operators, and programs that send pictures."""

from collections.abc import Callable

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from edge.errors import OperatorRequestError, RecordsError
from edge.page.gate import who
from edge.page.operator_actions import OperatorActions
from edge.page.page_model import PageModel
from edge.page.picture_inspection import InspectionBusy, PictureInspector, PictureRefused
from edge.page.state import InspectedPicture, OperatorAnswer, OperatorName, OperatorRequest


def add_actions(app: FastAPI, actions: OperatorActions) -> None:
    """Add the routes of the operators; the gate refuses all other users."""

    def answer(action: Callable[..., str], *values: str) -> OperatorAnswer:
        try:
            return OperatorAnswer(done=action(*values))
        except (OperatorRequestError, RecordsError) as error:
            raise HTTPException(503, str(error)) from None

    @app.post("/api/pause")
    def pause(asked: OperatorRequest, request: Request) -> OperatorAnswer:
        """Pause the station: every part is FAULT until it is resumed, also after a restart."""
        return answer(actions.pause, who(request.scope, asked.who), asked.reason)

    @app.post("/api/resume")
    def resume(asked: OperatorName, request: Request) -> OperatorAnswer:
        """Inspect again."""
        return answer(actions.resume, who(request.scope, asked.who))

    @app.post("/api/challenge")
    def challenge(asked: OperatorRequest, request: Request) -> OperatorAnswer:
        """Start a challenge; the next parts on the line must be the known bad parts."""
        return answer(actions.challenge, who(request.scope, asked.who), asked.reason)

    @app.post("/api/acknowledge")
    def acknowledge(asked: OperatorRequest, request: Request) -> OperatorAnswer:
        """Acknowledge the alarms about past events."""
        return answer(actions.acknowledge, who(request.scope, asked.who), asked.reason)


def add_inspection(app: FastAPI, model: PageModel, inspector: PictureInspector) -> None:
    """Add the route for pictures of other programs."""
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

    @app.post("/api/inspect", openapi_extra={"requestBody": {"required": True, "content": binary}})
    async def inspect(request: Request) -> InspectedPicture:
        """Verdict of the bundle in use on a picture, sent as the file itself: JPEG, PNG, BMP or TIFF, at most 8 MB.

        One at a time, beside the line and after it: 503 while another picture is inspected or the processor is busy.
        Nothing is recorded, told to the PLC or shown. Ignore regions, crops and views of the cameras are not applied.
        """
        station = model.station
        if station is None:
            raise HTTPException(503, "the station has not said which bundle it uses")
        try:
            return await run_in_threadpool(inspector.inspect, station.bundle_folder, await request.body())
        except PictureRefused as error:
            raise HTTPException(422, str(error)) from None
        except InspectionBusy as error:
            raise HTTPException(503, str(error)) from None
