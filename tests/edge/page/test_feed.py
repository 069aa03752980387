"""Faults of the page, of its process and of its browsers do not reach the line."""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from bundle import Manifest, Verdict
from edge.alarms import Alarms
from edge.config.line import parse_line
from edge.config.page import PageSettings
from edge.errors import LineConfigError, ServerError
from edge.page.feed import Feed
from edge.servers.feed import listening
from edge.servers.outbox import PARTS_WAITING, REJECTS_WAITING, Outbox
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.doubles import NOON, station, welcome
from tests.edge.part_doubles import DARK, judged

MANIFEST = tiny_manifest().sealed()
OTHER = tiny_manifest(name="other").sealed()
PATIENCE = 400
"""Tries; each waits as long as the page takes to refuse or answer."""

Open = Callable[..., Feed]


@pytest.fixture
def open_feed() -> Iterator[Open]:
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    feeds: list[Feed] = []

    def opened(outbox: Outbox, listen: str = "127.0.0.1:0", retry_s: float = 0.05) -> Feed:
        settings = PageSettings(listen=listen)
        feeds.append(Feed(settings, outbox, station, lambda: MANIFEST, welcome, Alarms(), retry_s))
        return feeds[-1]

    yield opened
    for feed in feeds:
        feed.close()


def state_of(feed: Feed, wanted: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    """Ask the page until it says what is wanted."""
    state: dict[str, object] = {}
    for _ in range(PATIENCE):
        try:
            with urlopen(f"{feed.address}/api/state", timeout=20) as answer:
                state = json.load(answer)
        except (OSError, ValueError):  # not up yet, or being started again
            threading.Event().wait(0.05)
            continue
        if wanted(state):
            return state
        threading.Event().wait(0.05)
    pytest.fail(f"the page never said so: {state}")


def last_part(open_feed: Open, manifest: Manifest) -> tuple[Feed, dict[str, Any]]:
    """Judge part 7 with the bundle of this manifest; the feed and what the page says of the part."""
    outbox = Outbox(lambda: NOON)
    feed = open_feed(outbox)
    state_of(feed, lambda state: state["condition"] == "running")
    outbox.add(judged(7, Verdict.NG, [grey_frame(0)], manifest, (DARK,)))
    return feed, state_of(feed, lambda state: state["last"] is not None)["last"]


def test_a_part_appears_with_its_picture(open_feed: Open) -> None:
    feed, last = last_part(open_feed, MANIFEST)

    assert (last["number"], last["verdict"], last["defects"][0]["class_name"]) == (7, "NG", "Dark")
    with urlopen(f"{feed.address}/{last['pictures']['camera0']}", timeout=20) as answer:
        assert answer.read(3) == b"\xff\xd8\xff"  # JPEG


def test_outlines_of_another_bundle_are_not_drawn(open_feed: Open) -> None:
    _, last = last_part(open_feed, OTHER)

    assert (last["number"], last["pictures"]) == (7, {})


def test_a_page_that_dies_comes_back_and_is_said_once(open_feed: Open, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(lambda: NOON)
    feed = open_feed(outbox)
    state_of(feed, lambda state: state["condition"] == "running")
    before = feed.process
    os.kill(before, signal.SIGKILL)
    while feed.process == before:
        threading.Event().wait(0.05)
    state_of(feed, lambda state: state["condition"] == "running")

    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "ended with status -9; the line continues without it" in said[0]


def test_a_port_that_is_taken_is_said_once_and_tried_again(open_feed: Open, caplog: pytest.LogCaptureFixture) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        feed = open_feed(Outbox(), listen)
        while feed.tries < 3:
            threading.Event().wait(0.01)
    state_of(feed, lambda state: state["condition"] == "running")

    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert f"alarm: page: {listen}: cannot listen there (Address already in use)" in said[0]


def test_the_page_ends_with_the_station(open_feed: Open) -> None:
    feed = open_feed(Outbox())
    state_of(feed, lambda state: state["condition"] == "running")
    address = feed.address
    feed.close()

    with pytest.raises(URLError):
        urlopen(f"{address}/health", timeout=20)


def test_the_address_of_a_page_on_ipv6_is_one_that_a_browser_takes(open_feed: Open) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this computer has no IPv6: {error.strerror}")
    feed = open_feed(Outbox(), "[::1]:0")

    state_of(feed, lambda state: state["condition"] == "running")
    assert (feed.address or "").startswith("http://[::1]:")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ServerError, match="cannot listen there"):
        listening("192.0.2.1", 0, "page")  # RFC 5737: reserved for documentation


def test_an_outbox_that_is_not_read_does_not_grow() -> None:
    outbox = Outbox(lambda: NOON)
    for number in range(1, PARTS_WAITING + 100):
        outbox.add(judged(number, Verdict.NG if number % 2 else Verdict.OK, [grey_frame()], MANIFEST))

    told, pictured = outbox.take()

    assert [one.number for one in told] == list(range(100, PARTS_WAITING + 100))
    assert [one.number for one in pictured] == [2093, 2095, 2097, 2099]
    assert len(pictured) == REJECTS_WAITING
    assert outbox.take() == ((), ())


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"listen": "8080"}, "'8080' is not an address with a port"),
        ({"listen": "localhost:http"}, "'localhost:http' is not an address with a port"),
        ({"listen": "localhost:70000"}, "is not an address with a port"),
        ({"token": "short"}, "page.token"),
        ({"shift_starts": ["6 o'clock"]}, '"6 o\'clock" is not a time of day'),
        ({"port": 8080}, "page.port: unknown key"),
    ],
)
def test_a_wrong_table_is_one_clear_line(table: dict[str, object], problem: str) -> None:
    content = {"bundle": "b", "plc": "serial:///dev/x", "camera": [{"address": "synthetic://"}], "page": table}

    with pytest.raises(LineConfigError) as refused:
        parse_line(content, Path("line.toml"))
    assert problem in str(refused.value)


def test_it_listens_to_this_machine_alone_unless_told_otherwise() -> None:
    assert PageSettings().host_and_port == ("127.0.0.1", 8080)
    assert PageSettings(listen="[::1]:80").host_and_port == ("::1", 80)
