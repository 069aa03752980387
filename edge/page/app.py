"""HTTP routes of the page; the only file that imports FastAPI."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import HTTPBearer

from edge.errors import RecordsError
from edge.page.gate import COOKIE, AccessGate, Receive, Scope, Send
from edge.page.history import LAST_ROW, parts_before
from edge.page.metrics import metrics_text
from edge.page.page_model import PageModel
from edge.page.state import ChartBar, HealthReport, PageState, PartState

STATIC = Path(__file__).with_name("static")
FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
WATCHERS = 32
"""Largest number of event streams; further browsers poll."""
BEAT_S = 1.0
"""Longest time between two events of a stream, so that a browser detects a stopped page."""

Name = Literal["OK", "NG", "UNSURE", "TIMEOUT", "FAULT"]
_bearer = HTTPBearer(auto_error=False, description="The `token` of `[page]` in line.toml, where there is one.")


class Notifier:
    """Wakes all coroutines that wait for a change; a notification without waiters is lost."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake all waiters; callable from any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._swing)

    def _swing(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Wait for the next notification, at most `timeout_s` seconds."""
        self._loop = asyncio.get_running_loop()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._rung.wait(), timeout_s)


def make_app(model: PageModel) -> AccessGate:
    """Make the ASGI application over the page model, behind its gate; every route is read only."""
    notifier = Notifier()
    model.changed = notifier.ring
    app = FastAPI(
        title=model.welcome.title,
        description="State of a running station of edge-inspect. Every route is read only.",
        docs_url=None,  # its scripts come from the internet, which a line cannot reach
        redoc_url=None,
        dependencies=[Depends(_bearer)],  # for the OpenAPI document; the gate checks it
    )
    _add_page(app, model.welcome.token)
    _add_figures(app, model)
    _add_events(app, model, notifier)
    return AccessGate(app, model.welcome.token, model.welcome.hosts)


def _add_page(app: FastAPI, token: str | None) -> None:
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    files = {name: (STATIC / name).read_bytes() for name in FILES}

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        if token is not None and request.query_params.get("token"):
            answer: Response = RedirectResponse(".", 303)  # removes the token from the address bar
            answer.set_cookie(COOKIE, token, max_age=400 * 86_400, httponly=True, samesite="strict")
            return answer
        return Response(index, media_type="text/html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"no file {name}")
        return Response(files[name], media_type=FILES[name])


def _add_figures(app: FastAPI, model: PageModel) -> None:
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
    ) -> list[PartState]:
        """Parts from the records, the newest first."""
        try:
            return parts_before(Path(model.welcome.records), before, limit, verdict, part_id)
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None

    @app.get("/api/pictures/{number}/{camera}", response_class=Response)
    async def picture(number: int, camera: str) -> Response:
        """Picture of one view as JPEG with outlined defects; available for the latest parts and rejects."""
        content = model.picture(number, camera)
        if content is None:
            raise HTTPException(
                404, f"no picture of row {number}, camera {camera}: only the latest parts and rejects have one"
            )
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


def _add_events(app: FastAPI, model: PageModel, notifier: Notifier) -> None:
    watching = 0

    async def changes() -> AsyncIterator[str]:
        while not model.ended:
            yield f"data: {model.state().model_dump_json()}\n\n"
            await notifier.wait(BEAT_S)

    def closed() -> None:
        nonlocal watching
        watching -= 1

    @app.get("/api/events", response_class=StreamingResponse)
    async def events() -> Response:
        """The state after each change, as server-sent events; a slow reader gets only the newest."""
        nonlocal watching
        if watching >= WATCHERS:
            raise HTTPException(503, f"{WATCHERS} pages are open already; poll /api/state instead")
        watching += 1
        return _EventStream(changes(), closed)


class _EventStream(StreamingResponse):
    """Stream of events that tells when it is closed, also one that was closed before its first event."""

    def __init__(self, changes: AsyncIterator[str], closed: Callable[[], None]) -> None:
        super().__init__(changes, media_type="text/event-stream")
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the reader leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._closed()
