"""The OPC UA server hangs off the side: nothing that happens to it or to its clients is felt by the line."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")

from asyncua.ua.uaerrors import BadWaitingForInitialData

from bundle import Verdict
from edge.alarms import Alarms
from edge.config.opcua import OpcUaSettings
from edge.opcua.feed import PARTS_A_MESSAGE, OpcUaFeed
from edge.opcua.vision_system import LATEST
from edge.servers.outbox import Outbox
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.opcua.doubles import PATIENCE_S, client_of, make_identity, read
from tests.edge.page.doubles import NOON, station
from tests.edge.part_doubles import judged

START_S = 240.0
"""Longest start of a server's process on a machine that has other work; its standard address space takes seconds."""
MANIFEST = tiny_manifest().sealed()


class Line:
    """A feed with what the station gives it."""

    def __init__(self, settings: OpcUaSettings | None = None) -> None:
        self.outbox, self.alarms = Outbox(lambda: NOON, pictured=False), Alarms()
        self.feed = OpcUaFeed(
            settings or OpcUaSettings(listen="127.0.0.1:0"), self.outbox, station, self.alarms, 0.01, START_S
        )

    def wait_for(self, condition: Callable[[], object]) -> None:
        for _ in range(round(4 * START_S)):
            if condition():
                return
            threading.Event().wait(0.25)
        pytest.fail(f"{self.alarms.active}, {self.feed.updates} updates")

    def add(self, number: int) -> None:
        self.outbox.add(judged(number, Verdict.NG, [grey_frame()], MANIFEST))

    def latest(self) -> str:
        async def go() -> str:
            async with await client_of(self.feed.address or "") as client:
                try:
                    return str(await read(client, f"{LATEST}/ResultId"))
                except BadWaitingForInitialData:
                    return ""

        return asyncio.run(go())


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    opened: list[Line] = []
    yield opened
    for line in opened:
        line.feed.close()


def test_the_death_of_the_process_is_an_alarm_until_it_serves_again(lines: list[Line]) -> None:
    lines.append(line := Line())
    line.wait_for(lambda: line.feed.updates)
    before, updates = line.feed.process, line.feed.updates
    line.add(1)
    line.wait_for(lambda: line.feed.updates > updates + 1)
    found = line.latest()
    raised = threading.Event()
    line.alarms.listeners.append(lambda alarm, is_raised: raised.set() if is_raised else None)
    with socket.create_connection(("127.0.0.1", int((line.feed.address or "").rsplit(":", 1)[1]))) as silent:
        silent.sendall(b"HEL")  # the beginning of a message that never ends, from a client that reads nothing
        updates = line.feed.updates
        line.wait_for(lambda: line.feed.updates > updates + 1)
    os.kill(before, signal.SIGKILL)
    assert raised.wait(PATIENCE_S)
    line.add(2)  # nothing waits for a server that is away
    line.wait_for(lambda: not line.alarms.active)
    for number in range(3, 3 + 2 * PARTS_A_MESSAGE):
        line.add(number)
    line.wait_for(lambda: line.latest() == str(number))

    assert (found, line.feed.process != before) == ("1", True)


def test_a_wrong_certificate_is_an_alarm_that_says_what_to_do(lines: list[Line], tmp_path: Path) -> None:
    one, two = make_identity(tmp_path, "one"), make_identity(tmp_path, "two")
    mixed = {"certificate": one["certificate"], "private_key": two["private_key"]}
    settings = OpcUaSettings(listen="127.0.0.1:0", security="Basic256Sha256", **mixed)  # type: ignore[arg-type]
    lines.append(line := Line(settings))
    line.wait_for(lambda: line.alarms.active)
    (alarm,) = line.alarms.active

    assert alarm.name == "OPC UA"
    assert f"{one['certificate']}: found the certificate of another key than {two['private_key']}" in alarm.text
    assert "the line continues without it" in alarm.text


def test_a_port_that_is_taken_is_an_alarm(lines: list[Line]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        lines.append(line := Line(OpcUaSettings(listen=f"127.0.0.1:{other.getsockname()[1]}")))
        line.wait_for(lambda: line.feed.tries > 2)

        (alarm,) = line.alarms.active
        assert "cannot listen there (Address already in use); free the port, or set another in [opcua]" in alarm.text


def test_parts_without_pictures_are_not_kept_with_their_frames() -> None:
    outbox = Outbox(lambda: NOON, pictured=False)
    outbox.add(judged(1, Verdict.NG, [grey_frame()], MANIFEST))
    told, pictured = outbox.take()

    assert ([part.number for part in told], pictured) == ([1], ())
