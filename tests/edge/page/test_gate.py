"""Nothing of the page is told to a stranger, and no connection keeps the others out."""

import json
import socket
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from edge.access.failures import SLOTS, FailureLimit
from edge.config.page import PageSettings
from edge.page.gate import GUESSES, HEADERS, MOST_BODY_BYTES, AccessGate
from edge.page.page_model import PageModel
from tests.edge.page.doubles import NOON, Clock, Serve, welcome

TOKEN = "a-long-token"
PATIENCE_S = 20.0
PATHS = ("/", "/nothing", "/api/parts?before=x", "/api/parts", "/openapi.json", "/static/icon.svg")


def ask(at: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers by lower-case name and text of an answer; `_` in a header's name stands for `-`."""
    place = urlsplit(at)
    connection = HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def guarded(clock: Clock, serve: Serve) -> str:
    return serve(PageModel(welcome(token=TOKEN), clock, lambda: NOON))


@pytest.mark.parametrize(
    "path",
    ["/", "/openapi.json", "/docs", "/nothing", "/static/page.js", "/api/state", "/api/parts?before=x", "/health"],
)
def test_without_the_token_nothing_is_told(guarded: str, path: str) -> None:
    assert ask(guarded, path)[0] == 401
    assert ask(guarded, path, Authorization=f"Bearer {TOKEN}")[0] != 401


def test_a_browser_without_the_token_is_asked_for_it(guarded: str) -> None:
    status, headers, words = ask(guarded, "/", Accept="text/html,*/*")

    assert (status, headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert 'name="token"' in words


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api/parts?before=x", "/api/parts", "/openapi.json", "/static/icon.svg"]
)
def test_every_answer_has_the_policy(model: PageModel, serve: Serve, path: str) -> None:
    headers = ask(serve(model), path)[1]

    assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_refusals_have_the_policy(guarded: str) -> None:
    headers = ask(guarded, "/")[1]

    assert {name: headers[name.lower()] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::1].evil.example", ""]
)
def test_another_name_is_refused_without_a_token(model: PageModel, serve: Serve, host: str) -> None:
    status, _, words = ask(serve(model), "/api/state", Host=host)

    assert status == 421
    assert "add it to hosts of [page]" in words


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "localhost",
        "LOCALHOST:1",
        "[::1]:8080",
        "10.0.0.7",
        socket.gethostname(),
        "line3.plant.example",
    ],
)
def test_the_stations_own_names_are_served(clock: Clock, serve: Serve, host: str) -> None:
    at = serve(PageModel(welcome(hosts=("line3.plant.example",)), clock, lambda: NOON))

    assert ask(at, "/api/state", Host=host)[0] == 200


def test_with_the_token_any_name_will_do(guarded: str) -> None:
    assert ask(guarded, "/api/state", Host="station.plant.example", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(guarded, "/api/state", Host="evil.example")[0] == 401


async def nothing(*_: object) -> None:
    """An application, or a side of a connection, that does nothing."""


def shown(gate: AccessGate, token: str, address: str = "10.0.0.9") -> int:
    """Status that the gate refuses a token with; 200 where it passes it on."""
    headers = [(b"authorization", b"Bearer " + token.encode())]
    scope = {"type": "http", "client": (address, 1), "query_string": b"", "headers": headers}
    refused = gate._refused(scope)
    return 200 if refused is None else refused.status


def test_tokens_cannot_be_guessed_by_trying(clock: Clock) -> None:
    gate = AccessGate(nothing, TOKEN, clock=clock)
    tried = [shown(gate, f"wrong-{number}") for number in range(GUESSES + 5)]
    right = shown(gate, TOKEN)
    other = shown(gate, TOKEN, address="10.0.0.10")
    clock.now += 61

    assert tried == [401] * GUESSES + [429] * 5
    assert (right, other) == (429, 200)
    assert shown(gate, TOKEN) == 200


def test_the_right_token_is_no_guess(clock: Clock) -> None:
    gate = AccessGate(nothing, TOKEN, clock=clock)

    assert {shown(gate, TOKEN) for _ in range(10 * GUESSES)} == {200}


def test_many_addresses_take_no_more_memory(clock: Clock) -> None:
    limit = FailureLimit(2, 60.0, clock)
    limit.note("victim")
    for number in range(3 * SLOTS):
        limit.note(str(number))
    limit.note("victim")

    assert len(limit._times) <= SLOTS
    assert limit.is_reached("victim")  # a flood pushes no count out


def test_connections_without_a_request_keep_no_reader_out(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    place = urlsplit(at)
    with ExitStack() as opened:
        for number in range(100):
            idle = opened.enter_context(socket.create_connection((str(place.hostname), place.port), PATIENCE_S))
            if number % 2:
                idle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")

        assert [ask(at, "/health")[0] for _ in range(5)] == [503] * 5  # of the station, which is silent
        assert json.loads(ask(at, "/health")[2])["condition"] == "silent"


def test_a_header_that_does_not_end_is_given_up(model: PageModel, serve: Serve) -> None:
    place = urlsplit(serve(model, header_s=0.2))
    with socket.create_connection((str(place.hostname), place.port), PATIENCE_S) as slow:
        slow.sendall(b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(ConnectionResetError):
            assert slow.recv(100) == b""


def test_streams_are_counted_from_their_request_on(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    place = urlsplit(at)
    with ExitStack() as opened:
        streams = [
            opened.enter_context(socket.create_connection((str(place.hostname), place.port), PATIENCE_S))
            for _ in range(40)
        ]
        for stream in streams:
            stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answers = [stream.recv(12) for stream in streams]

    assert answers.count(b"HTTP/1.1 200") == 32
    assert answers.count(b"HTTP/1.1 503") == 8


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.168.1.5:80", "station.plant.example:80"])
def test_a_network_is_not_served_without_a_token_unless_said_twice(listen: str) -> None:
    with pytest.raises(ValueError, match="without a token, expected a token"):
        PageSettings(listen=listen)

    assert PageSettings(listen=listen, token="12345678").token
    assert PageSettings(listen=listen, without_token=True).token is None


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "[::1]:8080", "localhost:0"])
def test_the_station_itself_is_served_without_a_token(listen: str) -> None:
    assert PageSettings(listen=listen).token is None


def post(at: str, *headers: tuple[str, str]) -> int:
    """Status of a POST request to the marks whose body never comes."""
    place = urlsplit(at)
    connection = HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE_S)
    try:
        connection.putrequest("POST", "/api/marks")
        for name, text in (("Authorization", f"Bearer {TOKEN}"), ("Content-Type", "application/json"), *headers):
            connection.putheader(name, text)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_body_is_limited_before_it_is_read(clock: Clock, serve: Serve) -> None:
    at = serve(PageModel(welcome(inspector_token=TOKEN), clock, lambda: NOON))

    assert post(at, ("Content-Length", str(MOST_BODY_BYTES + 1))) == 413
    assert post(at, ("Transfer-Encoding", "chunked")) == 411
    assert post(at, ("Content-Length", "0")) == 422
