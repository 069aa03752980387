"""Process of the page: `python -m edge.page.server SOCKET`, with a pipe from the station as standard input.

It ends when the pipe is closed, also after a crash of the station.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.errors import RecordsError
from edge.page.page_model import PageModel
from edge.page.part_queries import recall
from edge.page.picture_inspection import PictureInspector
from edge.page.routes.app import make_app
from edge.page.state import StationInfo, ViewPicture
from edge.servers.channel import read_messages
from edge.servers.state import ServerMessage, StateUpdate

CONNECTIONS = 64
"""Further connections get 503."""
HEADER_S = 5.0
"""Time in which a connection has to send a whole request header."""


def main(arguments: list[str]) -> None:
    """Serve on the socket with this file descriptor until standard input ends."""
    (number,) = arguments
    messages = read_messages(sys.stdin.buffer, StationInfo, StateUpdate, ViewPicture)
    welcome, _ = next(messages, (None, b""))
    if not isinstance(welcome, StationInfo):
        return  # the station has ended already
    model = PageModel(welcome, monotonic)
    with suppress(RecordsError):  # the page also works without the last day
        recall(model.history, Path(welcome.records), welcome.next_number, datetime.now(timezone.utc))
    with socket.socket(fileno=int(number)) as listening:
        run_page(_serve(model, listening, messages))


def run_page(serving: Coroutine[Any, Any, None], handshake_s: float = HEADER_S) -> None:
    """Run until the page is no longer served, as `asyncio.run` does, with a limit on the time of a TLS handshake."""
    loop = _HandshakeTimeout(handshake_s)
    try:
        loop.run_until_complete(serving)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class _HandshakeTimeout(asyncio.SelectorEventLoop):
    """Event loop that limits a TLS handshake; in asyncio's own 60 s idle connections would take every descriptor."""

    def __init__(self, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s

    async def create_server(self, *places: Any, **options: Any) -> asyncio.Server:
        """Create a server as asyncio does."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self._handshake_s
        return await super().create_server(*places, **options)


class HeaderTimeout(H11Protocol):
    """HTTP connection that is closed where a whole request does not come in time.

    Where the limit of connections is reached, the one that has waited longest without a request is closed for a new
    one: connections without a request keep no reader out. uvicorn limits the time between requests only.
    """

    def __init__(self, *uvicorns: Any, header_s: float, **keywords: Any) -> None:
        super().__init__(*uvicorns, **keywords)
        self._header_s, self._waits_since = header_s, 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection and start the timeout of its first request."""
        waiting = [one for one in self.connections if isinstance(one, HeaderTimeout) and one._timer is not None]
        if len(self.connections) >= CONNECTIONS - 1 and waiting:
            oldest = min(waiting, key=lambda one: one._waits_since)
            oldest._give_up()
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Process received bytes; a complete header ends the timeout."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_wait()

    def on_response_complete(self) -> None:
        """Start the timeout of the next request."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout with the connection."""
        self._end_wait()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._end_wait()
        self._waits_since = self.loop.time()
        self._timer = self.loop.call_later(self._header_s, self._give_up)

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._end_wait()
        self.connections.discard(self)
        self.transport.abort()


def server_config(
    model: PageModel,
    header_s: float = HEADER_S,
    inspector: PictureInspector | None = None,
    clock: Callable[[], float] = monotonic,
) -> uvicorn.Config:
    """Return how the page is served."""
    settings = model.welcome.settings
    return uvicorn.Config(
        make_app(model, inspector, clock),
        http=partial(HeaderTimeout, header_s=header_s),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        # Without proxies uvicorn would believe the X-Forwarded headers of any program on this computer.
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )


async def _serve(model: PageModel, listening: socket.socket, messages: Iterator[tuple[ServerMessage, bytes]]) -> None:
    server = uvicorn.Server(server_config(model))

    failures: list[Exception] = []

    def listen_to_station() -> None:
        try:
            for message, content in messages:
                model.take(message, content)
            model.end()
        except Exception as error:  # the outermost loop of the thread: a page without news must not go on
            failures.append(error)
        server.should_exit = True

    threading.Thread(target=listen_to_station, name="station", daemon=True).start()
    await server.serve([listening])
    if failures:
        raise failures[0]


if __name__ == "__main__":
    main(sys.argv[1:])
