"""Routes of the state, the parts on record, their pictures, health and metrics."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi import Path as PathParameter
from fastapi.responses import PlainTextResponse

from edge.errors import RecordsError
from edge.page.metrics import metrics_text
from edge.page.page_model import PageModel
from edge.page.part_queries import LAST_ROW, PartQuery, find_parts, picture_jpeg
from edge.page.state import ChartBar, HealthReport, PageState, ShownPart

Name = Literal["OK", "NG", "UNSURE", "TIMEOUT", "FAULT"]


def add_figures(app: FastAPI, model: PageModel) -> None:
    """Add the routes that read; everyone who may see the page may use them."""
    records = Path(model.welcome.records)

    @app.get("/api/state")
    async def state() -> PageState:
        """Everything that the page shows."""
        return model.state()

    @app.get("/api/history")
    async def history(
        minutes: Annotated[int, Query(ge=1, le=24 * 60)] = 480, bars: Annotated[int, Query(ge=1, le=480)] = 96
    ) -> list[ChartBar]:
        """Parts and rejects of the last minutes in bars, the oldest first."""
        return model.buckets(minutes, bars)

    @app.get("/api/parts")
    def parts(
        before: Annotated[
            int | None, Query(ge=1, le=LAST_ROW, description="Rows before this one; the latest by default.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        verdict: Annotated[Name | None, Query(description="Only parts with this verdict.")] = None,
        part_id: Annotated[int | None, Query(ge=0, lt=2**32, description="Those with the PLC's id alone.")] = None,
        since: Annotated[datetime | None, Query(description="Triggered from this time on.")] = None,
        until: Annotated[datetime | None, Query(description="Triggered before this time.")] = None,
        row: Annotated[list[int] | None, Query(max_length=100, description="Only these rows.")] = None,
    ) -> list[ShownPart]:
        """Parts from the records, the newest first, with the addresses of their stored pictures."""
        try:
            found = find_parts(records, PartQuery(before, verdict, part_id, since, until, limit, tuple(row or ())))
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None
        except OverflowError:  # a time in the year 1 or 9999 in another zone, a row of more than 64 bit
            raise HTTPException(422, "found a time beyond the calendar, or a row beyond 64 bit") from None
        return [model.shown(one.part, one.cameras, one.mark) for one in found]

    @app.get("/api/pictures/{number}/{camera}", response_class=Response)
    def picture(number: Annotated[int, PathParameter(ge=0, le=LAST_ROW)], camera: str) -> Response:
        """Picture of one view as JPEG with outlined defects: of the latest parts and rejects, or a stored one."""
        content, folder = model.picture(number, camera), model.welcome.pictures
        try:
            if content is None and folder is not None:
                content = picture_jpeg(records, Path(folder), number, camera)
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None
        if content is None:
            raise HTTPException(404, f"no picture of row {number}, camera {camera}: none was kept, or it was deleted")
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "max-age=3600"})

    @app.get("/health", responses={503: {"model": HealthReport}})
    async def health(response: Response) -> HealthReport:
        """200 while parts are inspected, otherwise 503 with the reasons; alarms alone are 200."""
        found = model.health()
        response.status_code = 200 if found.healthy else 503
        return found

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """The figures in the text format of Prometheus."""
        return Response(metrics_text(model), media_type="text/plain; version=0.0.4")
