"""A page without a station, served on a port of its own."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edge.page.page_model import PageModel
from tests.edge.page.chromium import Chromium, Tab, find_chromium
from tests.edge.page.doubles import NOON, Clock, Serve, welcome


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def model(clock: Clock) -> PageModel:
    return PageModel(welcome(), clock, lambda: NOON)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a model on a free port until the test ends."""
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    import uvicorn

    from edge.page.server import HEADER_S, run_page, server_config

    running: list[tuple[PageModel, uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(model: PageModel, **settings: Any) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(server_config(model, **settings))
        serving = server.serve([listening])
        thread = threading.Thread(target=run_page, args=(serving, settings.get("header_s", HEADER_S)))
        thread.start()
        running.append((model, server, thread, listening))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for model, server, thread, listening in running:
        model.end()
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    running = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture
def tab(browser: Chromium) -> Iterator[Tab]:
    opened = Tab(browser)
    opened.show(1024, 600)
    yield opened
    opened.close()
