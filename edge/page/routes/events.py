"""Stream of the state to browsers, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import monotonic

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from edge.page.gate import VISITOR, Receive, Scope, Send, Visitor
from edge.page.page_model import PageModel

WATCHERS = 32
"""Largest number of event streams; further browsers poll."""
SHARED_S = 0.25
"""Longest time for which streams share a state: without an update it changes by its times alone."""
BEAT_S = 1.0
"""Longest time between two events of a stream, so that a browser detects a stopped page."""


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


def add_events(app: FastAPI, model: PageModel, notifier: Notifier) -> None:
    """Add the stream, for at most `WATCHERS` browsers."""
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
