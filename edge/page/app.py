"""HTTP routes of the page; the only file that imports FastAPI."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from html import escape
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import HTTPBearer

from edge.access.audit import AccessLog
from edge.access.log_in import LogIn
from edge.access.sessions import Sessions
from edge.access.users import UserFile
from edge.config.page import PageSettings
from edge.errors import AccessError, MarkError, OperatorRequestError, RecordsError
from edge.page.gate import (
    COOKIE,
    LOG_IN,
    LOG_OUT,
    MARKS,
    READER,
    VISITOR,
    AccessGate,
    Receive,
    Scope,
    Send,
    Visitor,
    form_cookie,
    is_encrypted,
    session_cookie,
)
from edge.page.log_in_form import FormAnswer, LogInForm, Sent
from edge.page.log_in_page import LOG_IN_POLICY
from edge.page.metrics import metrics_text
from edge.page.operator_actions import OperatorActions
from edge.page.page_model import PageModel
from edge.page.part_queries import LAST_ROW, PartQuery, find_parts, picture_jpeg, whole_frame_jpeg
from edge.page.picture_inspection import InspectionBusy, PictureInspector, PictureRefused
from edge.page.review import give_marks, part_for_review, queued, sample_share
from edge.page.review_messages import MarksAnswer, MarksRequest, QueuedPart, ReviewedPart, SampleShare
from edge.page.state import (
    ChartBar,
    HealthReport,
    InspectedPicture,
    OperatorAnswer,
    OperatorName,
    OperatorRequest,
    PageProblem,
    PageState,
    ShownPart,
)
from edge.reports.trial import trial_text

STATIC = Path(__file__).with_name("static")
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
WATCHERS = 32
"""Largest number of event streams; further browsers poll."""
SHARED_S = 0.25
"""Longest time for which streams share a state: without an update it changes by its times alone."""
BEAT_S = 1.0
"""Longest time between two events of a stream, so that a browser detects a stopped page."""

Name = Literal["OK", "NG", "UNSURE", "TIMEOUT", "FAULT"]
_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "A body that is no JSON", "model": PageProblem},
    401: {"description": "No token of the station", **_TEXT},
    403: {"description": "Not the role's token, or a page of another site", **_TEXT},
    404: {"description": "No such part or picture", "model": PageProblem},
    411: {"description": "A body of unknown length", **_TEXT},
    413: {"description": "A body that is too long", **_TEXT},
    421: {"description": "Another name in the Host header", **_TEXT},
    422: {"description": "A value that is not as described", "model": PageProblem},
    429: {"description": "Too many wrong tokens", **_TEXT},
    503: {"description": "The records or the station do not answer", "model": PageProblem},
}
"""Answers of the gate and of the routes besides those of the routes themselves, for the OpenAPI document."""
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


def make_app(
    model: PageModel, inspector: PictureInspector | None = None, clock: Callable[[], float] = monotonic
) -> AccessGate:
    """Make the ASGI application over the page model, behind its gate; reading alone needs no operator's token."""
    notifier, settings = Notifier(), model.welcome.settings
    model.changed = notifier.ring
    app = FastAPI(
        title=settings.title,
        description="State of a running station of edge-inspect. GET routes are read only; POST routes need the "
        "`operator_token` of `[page]` in line.toml, marks the `inspector_token`; with a cookie also X-CSRF-Token.",
        docs_url=None,  # its scripts come from the internet, which a line cannot reach
        redoc_url=None,
        redirect_slashes=False,  # to an address made of the request's Host header and undecoded query
        dependencies=[Depends(_bearer)],  # for the OpenAPI document; the gate checks it
        responses=_REFUSALS,
    )
    sessions, form = sessions_of(settings, clock), None
    if sessions is not None:
        log_in = LogIn(sessions.file, AccessLog(Path(model.welcome.records), clock), clock)
        form = LogInForm(log_in, sessions, settings.lang, has_tokens(settings))
        _add_log_in(app, form)
    _add_log_out(app, form)
    _add_page(app, settings)
    _add_figures(app, model)
    _add_review(app, model)
    _add_events(app, model, notifier)
    _add_actions(app, OperatorActions(model.welcome))
    if settings.inspect:
        _add_inspection(app, model, inspector or PictureInspector())
    return AccessGate(
        app,
        settings.token,
        settings.hosts,
        clock,
        operator_token=settings.operator_token,
        inspector_token=settings.inspector_token,
        sessions=sessions,
        needs_log_in=settings.needs_log_in,
    )


def sessions_of(settings: PageSettings, clock: Callable[[], float]) -> Sessions | None:
    """Return the sessions of the page's users; None where there are none."""
    if settings.users is None:
        return None
    return Sessions(UserFile(settings.users), settings.idle_minutes * 60, settings.session_hours * 3600, clock)


def has_tokens(settings: PageSettings) -> bool:
    """Whether there is a token to be typed."""
    return any((settings.token, settings.operator_token, settings.inspector_token))


def _add_page(app: FastAPI, settings: PageSettings) -> None:
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    files = {path.name: path for path in STATIC.iterdir() if path.suffix in KINDS}
    has_roles = bool(settings.users or settings.operator_token or settings.inspector_token)
    if settings.users is not None:
        index = index.replace('href="?token=" data-open="sign-in"', 'href="log-in"')

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        token = request.query_params.get("token")
        if token:  # the gate has checked it, where there is one
            answer: Response = RedirectResponse(".", 303)  # removes the token from the address bar
            _set_cookie(answer, request, COOKIE, token, max_age=400 * 86_400)
            return answer
        visitor: Visitor = request.scope[VISITOR]
        role = visitor.role if visitor.role not in (None, READER) or not has_roles else "sign-in"
        facts = {"role": role or READER, "lang": settings.lang or "", "user": visitor.user, "csrf": visitor.csrf}
        filled = " ".join(f'data-{name}="{escape(text or "")}"' for name, text in facts.items())
        return Response(index.replace('data-role="" data-lang=""', filled), media_type="text/html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"no file {name}")
        return Response(files[name].read_bytes(), media_type=KINDS[files[name].suffix])


def _set_cookie(answer: Response, request: Request, name: str, value: str, max_age: int | None = None) -> None:
    """Set a cookie for this station's own pages alone, which no script reads."""
    secure = is_encrypted(request.scope)
    answer.set_cookie(name, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="strict")


def _add_log_in(app: FastAPI, form: LogInForm) -> None:
    """Add the routes by which users log in and out."""

    def answer_of(request: Request, found: FormAnswer) -> Response:
        if found.session:
            answer: Response = RedirectResponse(".", 303)
            _set_cookie(answer, request, session_cookie(request.scope), found.session)
            return answer
        # A form is sent with its Origin only where the policy lets its page tell where it comes from.
        headers = {"Content-Security-Policy": LOG_IN_POLICY, "Referrer-Policy": "same-origin"}
        answer = Response(found.page, found.status, headers, "text/html")
        _set_cookie(answer, request, form_cookie(request.scope), found.form)
        return answer

    @app.get(LOG_IN, include_in_schema=False)
    async def ask(request: Request) -> Response:
        problem = "wrong_token" if "wrong-token" in request.query_params else ""
        return answer_of(request, form.show(request.headers.get("accept-language", ""), problem))

    @app.post(LOG_IN, include_in_schema=False)
    async def take(request: Request) -> Response:
        sent = Sent(
            await request.body(),
            request.cookies.get(form_cookie(request.scope), ""),
            request.cookies.get(session_cookie(request.scope), ""),
            is_encrypted(request.scope),
            request.client.host if request.client else "",
            request.headers.get("accept-language", ""),
        )
        try:
            return answer_of(request, await form.take(sent))
        except AccessError as error:
            raise HTTPException(503, str(error)) from None


def _add_log_out(app: FastAPI, form: LogInForm | None) -> None:
    """Add the route that ends a session, or forgets a token; `form`: of the users, where there are any."""

    @app.post(LOG_OUT, include_in_schema=False)
    async def log_out(request: Request) -> Response:
        answer, visitor = Response(status_code=204), request.scope[VISITOR]
        for name in (session_cookie(request.scope), COOKIE):
            answer.delete_cookie(name, secure=is_encrypted(request.scope), httponly=True, samesite="strict")
        if form is not None and visitor.user is not None:
            cookie = request.cookies.get(session_cookie(request.scope), "")
            form.end(cookie, visitor.user, request.client.host if request.client else "")
        return answer


def _add_figures(app: FastAPI, model: PageModel) -> None:
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


def _add_review(app: FastAPI, model: PageModel) -> None:
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
            return give_marks(records, asked, _who(request, asked.who))
        except MarkError as error:
            raise HTTPException(422, str(error)) from None
        except RecordsError as error:
            raise HTTPException(503, str(error)) from None


def _who(request: Request, typed: str) -> str:
    """Name for the records: of the user who has logged in, else the one that was typed."""
    return request.scope[VISITOR].user or typed


def _add_actions(app: FastAPI, actions: OperatorActions) -> None:
    """Add the routes of the operators; the gate refuses all other users."""

    def answer(action: Callable[..., str], *values: str) -> OperatorAnswer:
        try:
            return OperatorAnswer(done=action(*values))
        except (OperatorRequestError, RecordsError) as error:
            raise HTTPException(503, str(error)) from None

    @app.post("/api/pause")
    def pause(asked: OperatorRequest, request: Request) -> OperatorAnswer:
        """Pause the station: every part is FAULT until it is resumed, also after a restart."""
        return answer(actions.pause, _who(request, asked.who), asked.reason)

    @app.post("/api/resume")
    def resume(asked: OperatorName, request: Request) -> OperatorAnswer:
        """Inspect again."""
        return answer(actions.resume, _who(request, asked.who))

    @app.post("/api/challenge")
    def challenge(asked: OperatorRequest, request: Request) -> OperatorAnswer:
        """Start a challenge; the next parts on the line must be the known bad parts."""
        return answer(actions.challenge, _who(request, asked.who), asked.reason)

    @app.post("/api/acknowledge")
    def acknowledge(asked: OperatorRequest, request: Request) -> OperatorAnswer:
        """Acknowledge the alarms about past events."""
        return answer(actions.acknowledge, _who(request, asked.who), asked.reason)


def _add_inspection(app: FastAPI, model: PageModel, inspector: PictureInspector) -> None:
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


def _add_events(app: FastAPI, model: PageModel, notifier: Notifier) -> None:
    watching = 0
    made: tuple[int, float, str] = (-1, 0.0, "")

    def state() -> str:
        """The state as JSON, made once for all streams that a change wakes."""
        nonlocal made
        updates, now = model.updates, monotonic()
        if made[0] != updates or now - made[1] > SHARED_S:
            made = updates, now, model.state().model_dump_json()
        return made[2]

    async def changes(visitor: Visitor) -> AsyncIterator[str]:
        ended = False
        while not ended and visitor.lasts():
            ended = model.ended
            yield f"data: {state()}\n\n"
            if not ended:
                await notifier.wait(BEAT_S)

    def closed() -> None:
        nonlocal watching
        watching -= 1

    @app.get("/api/events", response_class=StreamingResponse)
    async def events(request: Request) -> Response:
        """The state after each change, as server-sent events; a slow reader gets only the newest."""
        nonlocal watching
        if watching >= WATCHERS:
            raise HTTPException(503, f"{WATCHERS} pages are open already; poll /api/state instead")
        watching += 1
        return _EventStream(changes(request.scope[VISITOR]), closed)


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
