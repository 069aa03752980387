"""A page without a station, served on a port of its own."""

import socket
import threading
from collections.abc import Iterator

import pytest

from edge.page.page_model import Desk
from tests.edge.page.doubles import NOON, Clock, Serve, welcome


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> Desk:
    return Desk(welcome(), clock, lambda: NOON)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a desk on a free port until the test ends."""
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    import uvicorn

    from edge.page.app import make_app

    running: list[tuple[Desk, uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(desk: Desk) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(make_app(desk), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        running.append((desk, server, thread, listening))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for desk, server, thread, listening in running:
        desk.end()
        server.should_exit = True
        thread.join()
        listening.close()
    for worker in threading.enumerate():  # FastAPI's own, which end by themselves once their loop has
        if worker.name == "AnyIO worker thread":
            worker.join(10)
