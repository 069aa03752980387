"""Access control of the page, in front of every route: host names, tokens, roles, limit on guesses, headers."""

import re
import secrets
import socket
from base64 import b64encode
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
MOST_BODY_BYTES = 8_000_000
"""Of a request; outlines of a hundred parts are a tenth of it."""
ROLE = "edge-inspect-role"
"""Key of the role in the scope of a request that is passed on."""
READER, OPERATOR, INSPECTOR = ROLES = "reader", "operator", "inspector"
"""Each role may do what those before it may."""
MARKS = "/api/marks"
"""The one route that needs an inspector; every other change needs an operator."""
STYLE = """body { margin: 12vh auto; padding: 0 20px; max-width: 460px; font: 20px/1.4 system-ui, sans-serif;
  background: #eceff2; color: #14181d; }
h1 { font-size: 30px; } label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input, button { margin: 8px 0 18px; padding: 12px; border: 2px solid #5b6673; border-radius: 8px; }
button { background: #14181d; color: #fff; font-weight: 650; cursor: pointer; } .wrong { color: #b4231c; }
@media (prefers-color-scheme: dark) { body { background: #0f1317; color: #e9edf1; } .wrong { color: #ff8f85; }
  input { background: #191f26; color: inherit; } button { background: #e9edf1; color: #14181d; } }"""
SIGN_IN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>edge-inspect: token</title><link rel="icon" href="data:,"><style>STYLE</style></head><body><main>
<h1>edge-inspect</h1>
WRONG<form action="." method="get">
<label for="token">Token of this station, from [page] in its line.toml</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password">
<button>Open</button>
</form></main></body></html>
""".replace("STYLE", STYLE)
WRONG = '<p class="wrong" role="alert">This is not the token of this station. After ten wrong ones, wait a minute.</p>'
SIGN_IN_POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'sha256-"
    + b64encode(sha256(STYLE.encode()).digest()).decode()
    + "'"
)
"""Policy of the page that asks for the token, which may load nothing of the station."""


@dataclass(frozen=True)
class Refusal:
    """Answer to a request that is not passed on."""

    status: int
    words: str
    policy: str | None = None
    """Policy of an HTML page; None for plain text."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the answer, beside those of every answer."""
        kind = "text/plain" if self.policy is None else "text/html"
        found = {"content-type": f"{kind}; charset=utf-8", "content-length": str(len(self.words.encode()))}
        found |= {} if self.policy is None else {"content-security-policy": self.policy}
        return [(name.encode(), text.encode()) for name, text in found.items()]


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
        operator_token: str | None = None,
        inspector_token: str | None = None,
    ) -> None:
        """hosts: names of the station beside its addresses, `localhost` and the computer's own name."""
        self._app, self._token, self._clock = app, token, clock
        tokens = {INSPECTOR: inspector_token, OPERATOR: operator_token, READER: token}
        self._tokens = {role: known for role, known in tokens.items() if known is not None}
        own = socket.gethostname()
        self._hosts = {name.lower() for name in (*hosts, "localhost", own, f"{own}.local")}
        self._guesses: OrderedDict[str, deque[float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 401, 403, 421 or 429."""
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
        start = {"type": "http.response.start", "status": refused.status, "headers": refused.headers}
        await send_with_headers(start)
        await send_with_headers({"type": "http.response.body", "body": refused.words.encode()})

    def _refused(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused; None, and the role in the scope, where it is not."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._token is None and not self._is_ours(host := headers.get(b"host", "localhost")):
            return Refusal(421, f"found the host {host!r}; add it to hosts of [page]")
        shown = [token for token in _tokens(scope, headers) if token]
        address = (scope.get("client") or ("",))[0]
        known = bool(self._tokens)
        if known and shown and self._too_many_guesses(address):
            return Refusal(429, f"too many wrong tokens; wait {GUESSES_S:g} s")
        role = self._role(shown)
        if known and shown and role is None:
            self._note_guess(address)
        asked = headers.get(b"accept", "") if scope.get("method", "GET") == "GET" else ""
        typed = bool(parse_qs(scope["query_string"].decode("latin-1")).get("token"))
        if role is None and (self._token is not None or (known and typed)):
            if "text/html" in asked:
                return Refusal(401, SIGN_IN.replace("WRONG", WRONG if shown else ""), SIGN_IN_POLICY)
            return Refusal(401, "open this page once with ?token=..., the token of [page] in line.toml")
        if scope.get("method", "GET") not in ("GET", "HEAD") and (wrong := _not_allowed(role, scope, headers)):
            return wrong
        scope[ROLE] = role or READER
        return None

    def _role(self, shown: Iterable[str]) -> str | None:
        """Return the role of the best token; None if none of them is known."""
        return next((role for role, known in self._tokens.items() if any(map(partial(_is_same, known), shown))), None)

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


def _is_same(known: str, shown: str) -> bool:
    return secrets.compare_digest(known.encode(), shown.encode())


def _not_allowed(role: str | None, scope: Scope, headers: MutableMapping[bytes, str]) -> Refusal | None:
    """Refuse a request that changes something, without the token of its role or from a page of another site."""
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin).netloc != headers.get(b"host"):
        return Refusal(403, f"found a request from {origin!r}, expected one from the station's own page")
    if b"transfer-encoding" in headers:
        return Refusal(411, "found a body of unknown length, expected a Content-Length")
    if int(headers.get(b"content-length", 0)) > MOST_BODY_BYTES:  # digits only: uvicorn's parser sees to it
        return Refusal(413, f"found {headers[b'content-length']} bytes, expected at most {MOST_BODY_BYTES}")
    needed = INSPECTOR if scope["path"] == MARKS else OPERATOR
    if ROLES.index(role or READER) < ROLES.index(needed):
        return Refusal(403, f"found the role {role or READER}, expected the {needed}_token of [page] in line.toml")
    return None
