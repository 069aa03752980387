"""The page with TLS: its cookies, its handshakes, and a connection that never makes one."""

import re
import socket
import ssl
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from edge.access.passwords import hashed
from edge.access.users import UserFile, add_user
from edge.page.page_model import PageModel
from edge.records.writer import Records
from tests.edge.access.certificates import make_certificate
from tests.edge.page.doubles import NOON, Clock, Serve, welcome

pytest.importorskip("argon2", reason="passwords need edge-inspect[page]")
PATIENCE_S = 20.0
PASSWORD = "operates the line"


@pytest.fixture
def encrypted(tmp_path: Path, clock: Clock, serve: Serve) -> tuple[int, ssl.SSLContext]:
    """Port of a page with TLS and the user olga, and what a client trusts."""
    certificate, key = make_certificate(tmp_path)
    users = UserFile(tmp_path / "users.json")
    add_user(users, "olga", "operator", lambda: hashed(PASSWORD))
    Records(tmp_path / "r.sqlite").close()
    files = {"users": str(users.path), "certificate": str(certificate), "key": str(key)}
    model = PageModel(welcome(records=str(tmp_path / "r.sqlite"), **files), clock, lambda: NOON)
    port = int(serve(model, clock=clock, header_s=0.3).rpartition(":")[2])
    trusts = ssl.create_default_context(cafile=certificate)
    trusts.verify_flags &= ~ssl.VERIFY_X509_STRICT  # a certificate that signs itself has no key identifiers
    return port, trusts


def ask(
    page: tuple[int, ssl.SSLContext], method: str, path: str, body: str | None = None, cookie: str = ""
) -> tuple[int, list[str], str]:
    connection = HTTPSConnection("localhost", page[0], timeout=PATIENCE_S, context=page[1])
    try:
        connection.request(method, path, body, {"Cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        return answer.status, answer.headers.get_all("Set-Cookie") or [], answer.read().decode()
    finally:
        connection.close()


def test_cookies_are_for_encrypted_pages_of_this_host_only(encrypted: tuple[int, ssl.SSLContext]) -> None:
    _, (form_cookie,), form = ask(encrypted, "GET", "/log-in")
    token = re.findall('name="form" value="([^"]+)"', form)[0]
    fields = urlencode({"form": token, "name": "olga", "password": PASSWORD})
    status, (session,), _ = ask(encrypted, "POST", "/log-in", fields, form_cookie.partition(";")[0])
    value = session.partition(";")[0]
    bare = value.replace("__Host-", "")  # as plain HTTP could have set it

    assert status == 303
    for cookie in (form_cookie, session):
        assert cookie.startswith("__Host-edge-inspect-session")
        assert all(word in cookie for word in ("; Secure", "; HttpOnly", "; SameSite=strict", "; Path=/"))
        assert "Domain" not in cookie
    assert ask(encrypted, "GET", "/api/state", cookie=value)[0] == 200
    assert ask(encrypted, "GET", "/api/state", cookie=bare)[0] == 401


def test_plain_http_gets_no_answer_of_the_page(encrypted: tuple[int, ssl.SSLContext]) -> None:
    with socket.create_connection(("localhost", encrypted[0]), PATIENCE_S) as plain:
        plain.sendall(b"GET /log-in HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not plain.recv(1000).startswith(b"HTTP")


def test_connections_without_a_handshake_keep_no_reader_out(encrypted: tuple[int, ssl.SSLContext]) -> None:
    idle = [socket.create_connection(("localhost", encrypted[0]), PATIENCE_S) for _ in range(100)]
    status, _, _ = ask(encrypted, "GET", "/health")
    closed = [one.recv(1) for one in idle]  # each is closed once its time for the handshake is over
    for one in idle:
        one.close()

    assert status == 401
    assert closed == [b""] * 100
