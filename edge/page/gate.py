"""Access control of the page, in front of every route: host names, token, limit on guesses, security headers."""

import re
import secrets
import socket
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer, errors included; an answer's own header goes before."""
COOKIE = "edge-inspect-token"
GUESSES, GUESSES_S = 10, 60.0
"""Wrong tokens that one address may show in this time; after them it gets 429 until the time has passed."""
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(:[0-9]+)?")
"""Host header: name or address, and port (RFC 9110, section 7.2)."""
ADDRESSES = 1000
"""Addresses whose guesses are remembered; the oldest goes."""
SIGN_IN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>edge-inspect: token</title>
<h1>edge-inspect</h1>
<form action="." method="get">
<label>Token of [page] in line.toml: <input name="token" type="password" required autofocus></label>
<button>Open</button>
</form></html>
"""


class AccessGate:
    """ASGI middleware (https://asgi.readthedocs.io). Without a token the Host header has to be one of the station's.

    A page of another site cannot send a token that it does not have; without one, DNS rebinding would let it read.
    """

    def __init__(
        self,
        app: Application,
        token: str | None = None,
        hosts: Iterable[str] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """hosts: names of the station beside its addresses, `localhost` and the computer's own name."""
        self._app, self._token, self._clock = app, token, clock
        own = socket.gethostname()
        self._hosts = {name.lower() for name in (*hosts, "localhost", own, f"{own}.local")}
        self._guesses: OrderedDict[str, deque[float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 401, 421 or 429."""
        if scope["type"] != "http":
            return
        refused = self._refused(scope)

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                ours = ((name.lower().encode(), text.encode()) for name, text in HEADERS.items())
                message["headers"] = [*message["headers"], *(pair for pair in ours if pair[0] not in given)]
            await send(message)

        if refused is None:
            await self._app(scope, receive, send_with_headers)
            return
        status, kind, words = refused
        headers = [(b"content-type", kind), (b"content-length", str(len(words)).encode())]
        await send_with_headers({"type": "http.response.start", "status": status, "headers": headers})
        await send_with_headers({"type": "http.response.body", "body": words})

    def _refused(self, scope: Scope) -> tuple[int, bytes, bytes] | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._token is None:
            host = headers.get(b"host", "localhost")
            return None if self._is_ours(host) else _text(421, f"found the host {host!r}; add it to hosts of [page]")
        shown = [token for token in _tokens(scope, headers) if token]
        address = (scope.get("client") or ("",))[0]
        if shown and self._too_many_guesses(address):
            return _text(429, f"too many wrong tokens; wait {GUESSES_S:g} s")
        if any(secrets.compare_digest(token.encode(), self._token.encode()) for token in shown):
            return None
        if shown:
            self._note_guess(address)
        if "text/html" in headers.get(b"accept", ""):
            return 401, b"text/html; charset=utf-8", SIGN_IN.encode()
        return _text(401, "open this page once with ?token=..., the token of [page] in line.toml")

    def _is_ours(self, host: str) -> bool:
        found = HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower()
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name in self._hosts
        return True  # no name, so there is nothing that could be rebound

    def _too_many_guesses(self, address: str) -> bool:
        times = self._guesses.get(address, deque())
        while times and times[0] <= self._clock() - GUESSES_S:
            times.popleft()
        return len(times) >= GUESSES

    def _note_guess(self, address: str) -> None:
        self._guesses.setdefault(address, deque(maxlen=GUESSES)).append(self._clock())
        while len(self._guesses) > ADDRESSES:
            self._guesses.popitem(last=False)


def _tokens(scope: Scope, headers: MutableMapping[bytes, str]) -> list[str]:
    """Tokens of the Authorization header, the query and the cookie."""
    scheme, _, bearer = headers.get(b"authorization", "").partition(" ")
    query = parse_qs(scope["query_string"].decode("latin-1"))
    try:
        cookie = SimpleCookie(headers.get(b"cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    return [
        bearer.strip() if scheme.lower() == "bearer" else "",
        query.get("token", [""])[0],
        cookie.value if cookie else "",
    ]


def _text(status: int, words: str) -> tuple[int, bytes, bytes]:
    return status, b"text/plain; charset=utf-8", words.encode()
