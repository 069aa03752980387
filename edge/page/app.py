"""The addresses of the page; the only file that imports FastAPI."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from edge.errors import RecordsError
from edge.page.history import LAST_ROW, parts_before
from edge.page.metrics import metrics_text
from edge.page.page_model import PageModel
from edge.page.state import ChartBar, HealthReport, PageState, PartState

STATIC = Path(__file__).with_name("static")
FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
WATCHERS = 32
"""Browsers that may be told of each change at a time; one more has to ask."""
BEAT_S = 1.0
"""A browser hears at least this often, so that it notices a page that is gone."""
COOKIE = "edge-inspect-token"

Name = Literal["OK", "NG", "UNSURE", "TIMEOUT", "FAULT"]
_bearer = HTTPBearer(auto_error=False, description="The `token` of `[page]` in line.toml, where there is one.")


class Notifier:
    """Wakes all who wait; whoever is busy at the time misses the ring."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake them; from any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._swing)

    def _swing(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Wait for the next ring, but no longer than this."""
        self._loop = asyncio.get_running_loop()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._rung.wait(), timeout_s)


def make_app(model: PageModel) -> FastAPI:
    """Make the page over what the model knows. It reads; there is nothing that it can change."""
    notifier = Notifier()
    model.changed = notifier.ring
    app = FastAPI(
        title=model.welcome.title,
        description="What a station of edge-inspect is doing. Everything here is read only.",
        docs_url=None,  # its scripts come from the internet, which a line does not have
        redoc_url=None,
        dependencies=[Depends(_TokenGuard(model.welcome.token))],
    )
    _add_page(app, model.welcome.token)
    _add_figures(app, model)
    _add_events(app, model, notifier)
    return app


class _TokenGuard:
    """Lets nobody in who does not have the token."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def __call__(
        self,
        request: Request,
        response: Response,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        """Refuse with 401."""
        response.headers.update(HEADERS)
        if self._token is None:
            return
        shown = (bearer.credentials if bearer else None, request.query_params.get("token"), request.cookies.get(COOKIE))
        if not any(secrets.compare_digest(token.encode(), self._token.encode()) for token in shown if token):
            raise HTTPException(401, "open this page once with ?token=..., the token of [page] in line.toml", HEADERS)


def _add_page(app: FastAPI, token: str | None) -> None:
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    files = {name: (STATIC / name).read_bytes() for name in FILES}

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        if token is not None and request.query_params.get("token"):
            answer: Response = RedirectResponse(".", 303, HEADERS)  # so that the token leaves the address bar
            answer.set_cookie(COOKIE, token, max_age=400 * 86_400, httponly=True, samesite="strict")
            return answer
        return Response(index, media_type="text/html", headers=HEADERS)

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"there is no file {name}")
        return Response(files[name], media_type=FILES[name], headers=HEADERS)


def _add_figures(app: FastAPI, model: PageModel) -> None:
    @app.get("/api/state")
    async def state() -> PageState:
        """All that the page shows."""
        return model.state()

    @app.get("/api/history")
    async def history(
        minutes: Annotated[int, Query(ge=1, le=24 * 60)] = 480, bars: Annotated[int, Query(ge=1, le=480)] = 96
    ) -> list[ChartBar]:
        """Parts and rejects of the last minutes, the oldest bar first."""
        return model.buckets(minutes, bars)

    @app.get("/api/parts")
    def parts(
        before: Annotated[
            int | None, Query(ge=1, le=LAST_ROW, description="Rows before this one; left out, the latest.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        verdict: Annotated[Name | None, Query(description="Those with this verdict alone.")] = None,
        part_id: Annotated[int | None, Query(ge=0, lt=2**32, description="Those with the PLC's id alone.")] = None,
    ) -> list[PartState]:
        """Parts as the records have them, the newest first."""
        try:
            return parts_before(Path(model.welcome.records), before, limit, verdict, part_id)
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None

    @app.get("/api/pictures/{number}/{camera}", response_class=Response)
    async def picture(number: int, camera: str) -> Response:
        """The picture of one view as JPEG, defects outlined; only those of the latest parts and rejects are there."""
        content = model.picture(number, camera)
        if content is None:
            raise HTTPException(404, f"there is no picture of row {number}, camera {camera}, any more")
        return Response(content, media_type="image/jpeg", headers=HEADERS | {"Cache-Control": "max-age=3600"})

    @app.get("/health", responses={503: {"model": HealthReport}})
    async def health(response: Response) -> HealthReport:
        """200 while parts are being inspected, else 503 with what is in the way; alarms alone are 200."""
        found = model.health()
        response.status_code = 200 if found.healthy else 503
        return found

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """The figures in Prometheus' text format."""
        return Response(metrics_text(model), media_type="text/plain; version=0.0.4", headers=HEADERS)


def _add_events(app: FastAPI, model: PageModel, notifier: Notifier) -> None:
    watching = 0

    async def changes() -> AsyncIterator[str]:
        nonlocal watching
        watching += 1
        try:
            while not model.ended:
                yield f"data: {model.state().model_dump_json()}\n\n"
                await notifier.wait(BEAT_S)
        finally:
            watching -= 1

    @app.get("/api/events", response_class=StreamingResponse)
    async def events() -> Response:
        """The state whenever it changes, as server-sent events; a slow reader is given the newest only."""
        if watching >= WATCHERS:
            raise HTTPException(503, f"{WATCHERS} pages are open already; ask for /api/state instead", HEADERS)
        return StreamingResponse(changes(), media_type="text/event-stream", headers=HEADERS)
