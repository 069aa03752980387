"""Process of the page: `python -m edge.page.server SOCKET`, with a pipe from the station as standard input.

It ends when the pipe is closed, also after a crash of the station.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic

import uvicorn

from edge.errors import RecordsError
from edge.page.app import make_app
from edge.page.channel import read_messages
from edge.page.history import recall
from edge.page.page_model import PageModel
from edge.page.state import PageMessage, StationInfo

CONNECTIONS = 64
"""Further connections get 503."""


def main(arguments: list[str]) -> None:
    """Serve on the socket with this file descriptor until standard input ends."""
    (number,) = arguments
    messages = read_messages(sys.stdin.buffer)
    welcome, _ = next(messages, (None, b""))
    if not isinstance(welcome, StationInfo):
        return  # the station has ended already
    model = PageModel(welcome, monotonic)
    with suppress(RecordsError):  # the page also works without the last day
        recall(model.history, Path(welcome.records), welcome.next_number, datetime.now(timezone.utc))
    with socket.socket(fileno=int(number)) as listening:
        asyncio.run(_serve(model, listening, messages))


async def _serve(model: PageModel, listening: socket.socket, messages: Iterator[tuple[PageMessage, bytes]]) -> None:
    config = uvicorn.Config(
        make_app(model),
        log_config=None,
        access_log=False,
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)

    def listen_to_station() -> None:
        for message, content in messages:
            model.take(message, content)
        model.end()
        server.should_exit = True

    threading.Thread(target=listen_to_station, name="station", daemon=True).start()
    await server.serve([listening])


if __name__ == "__main__":
    main(sys.argv[1:])
