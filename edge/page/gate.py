"""Access control of the page, in front of every route: host names, tokens, sessions, roles, CSRF, headers."""

import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge.access.failures import FailureLimit
from edge.access.sessions import Sessions, UserSession
from edge.page.log_in_page import LOG_IN_POLICY, token_page

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
COOKIE, SESSION = "edge-inspect-token", "edge-inspect-session"
"""Cookies of a token that was typed once, and of a user's session."""
GUESSES, GUESSES_S = 10, 60.0
"""Wrong tokens that one address may show in this time; after them it gets 429 until the time has passed."""
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(:[0-9]+)?")
"""Host header: name or address, and port (RFC 9110, section 7.2)."""
MOST_BODY_BYTES = 8_000_000
"""Of a request; outlines of a hundred parts are a tenth of it."""
MOST_LOG_IN_BYTES = 8_000
"""Of a log-in, which anyone may send."""
VISITOR = "edge-inspect-visitor"
"""Key of the `Visitor` in the scope of a request that is passed on."""
READER, OPERATOR, INSPECTOR, ENGINEER = ROLES = "reader", "operator", "inspector", "engineer"
"""Each role may do what those before it may."""
MARKS, LOG_IN, LOG_OUT = "/api/marks", "/log-in", "/log-out"
NEEDED = {MARKS: INSPECTOR, LOG_OUT: READER}
"""Roles of the routes that change something; every other one needs an operator."""
OF_THE_PAGE = ("/api/state", "/api/history", "/api/events", "/api/pictures/", "/health", "/metrics", "/static/")
"""Beginnings of what an open page asks for by itself: such a request keeps no session alive."""
CSRF_HEADER = b"x-csrf-token"


@dataclass(frozen=True)
class Refusal:
    """Answer to a request that is not passed on."""

    status: int
    words: str
    policy: str | None = None
    """Policy of an HTML page; None for plain text."""
    moved: str = ""
    """Relative address to go to instead; empty for none."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the answer, beside those of every answer."""
        kind = "text/plain" if self.policy is None else "text/html"
        found = {"content-type": f"{kind}; charset=utf-8", "content-length": str(len(self.words.encode()))}
        found |= {} if self.policy is None else {"content-security-policy": self.policy}
        found |= {"location": self.moved} if self.moved else {}
        return [(name.encode(), text.encode()) for name, text in found.items()]


@dataclass(frozen=True)
class Visitor:
    """Sender of a request that is passed on."""

    role: str | None
    """None without token and session."""
    user: str | None = None
    """Name of the user who has logged in."""
    csrf: str | None = None
    """CSRF token that a changing request sends beside the cookie; None for a token that is sent with each request."""
    lasts: Callable[[], bool] = lambda: True
    """Whether the session still lasts, for answers that do not end."""


def who(scope: Scope, typed: str) -> str:
    """Name for the records: of the user who has logged in, else the one that was typed."""
    visitor: Visitor = scope[VISITOR]
    return visitor.user or typed


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
        sessions: Sessions | None = None,
        needs_log_in: bool | None = None,
    ) -> None:
        """hosts: names of the station beside its addresses, `localhost` and the computer's own name.

        sessions: of the users, where there are any. needs_log_in: by default as a `token` says.
        """
        self._app, self._sessions = app, sessions
        self._is_closed = token is not None if needs_log_in is None else needs_log_in
        tokens = {INSPECTOR: inspector_token, OPERATOR: operator_token, READER: token}
        self._tokens = {role: known for role, known in tokens.items() if known is not None}
        own = socket.gethostname()
        self._hosts = {name.lower() for name in (*hosts, "localhost", own, f"{own}.local")}
        self._guesses = FailureLimit(GUESSES, GUESSES_S, clock)

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
        """Return why a request is refused; None, and the visitor in the scope, where it is not."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not self._is_closed and not self._is_ours(host := headers.get(b"host", "localhost")):
            return Refusal(421, f"found the host {host!r}; add it to hosts of [page]")
        is_read = scope.get("method", "GET") in ("GET", "HEAD")
        if self._sessions is not None and scope["path"] == LOG_IN:
            scope[VISITOR] = Visitor(None)
            return None if is_read else _not_well_formed(headers, MOST_LOG_IN_BYTES)
        visitor, refused = self._visitor(scope, headers)
        if refused is None and visitor.role is None and self._is_closed:
            refused = self._asks_for_token(scope, headers, "")
        if refused is None and not is_read:
            refused = _not_well_formed(headers, MOST_BODY_BYTES) or _not_allowed(visitor, scope, headers)
        scope[VISITOR] = visitor
        return refused

    def _visitor(self, scope: Scope, headers: MutableMapping[bytes, str]) -> tuple[Visitor, Refusal | None]:
        """Return who sends a request: by a token that was sent with it, by a session, by the cookie of a token."""
        cookies = _cookies(headers)
        sent = _sent_tokens(scope, headers)
        session = self._session(scope, cookies)
        if session is not None and not sent:
            return session, None
        kept = cookies.get(COOKIE, "")
        shown = [token for token in (*sent, kept) if token]
        if not self._tokens or not shown:
            return Visitor(None), None
        address = (scope.get("client") or ("",))[0]
        if self._guesses.is_reached(address):
            return Visitor(None), Refusal(429, f"too many wrong tokens; wait {GUESSES_S:g} s")
        if (role := self._role(sent)) is not None:
            return Visitor(role), None
        if not sent and (role := self._role([kept])) is not None:
            return Visitor(role, csrf=_csrf_of(kept)), None
        self._guesses.note(address)
        typed = scope.get("method", "GET") == "GET" and _query_token(scope)
        return Visitor(None), self._asks_for_token(scope, headers, "wrong") if typed else None

    def _session(self, scope: Scope, cookies: MutableMapping[str, str]) -> Visitor | None:
        cookie = cookies.get(session_cookie(scope))
        if self._sessions is None or cookie is None:
            return None
        sessions, path = self._sessions, scope["path"]
        found: UserSession | None = sessions.find(cookie, uses=not path.startswith(OF_THE_PAGE))
        if found is None:
            return None
        return Visitor(found.user.role, found.name, found.csrf, lambda: sessions.find(cookie, False) is not None)

    def _asks_for_token(self, scope: Scope, headers: MutableMapping[bytes, str], wrong: str) -> Refusal:
        is_html = scope.get("method", "GET") == "GET" and "text/html" in headers.get(b"accept", "")
        if is_html and self._sessions is not None and scope["path"] == "/":
            return Refusal(303, "", moved=f"log-in{'?wrong-token' if wrong else ''}")
        if is_html:
            shown = bool(wrong or _sent_tokens(scope, headers) or _cookies(headers).get(COOKIE))
            return Refusal(401, token_page(shown), LOG_IN_POLICY)
        return Refusal(401, "open this page once with ?token=..., the token of [page] in line.toml, or log in")

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


def is_encrypted(scope: Scope) -> bool:
    """Whether a request came over TLS, to the page or to a trusted proxy."""
    return scope.get("scheme") == "https"


def session_cookie(scope: Scope) -> str:
    """Name of the cookie of a session; with TLS one that no page of plain HTTP can set (RFC 6265bis, section 4.1.3)."""
    return f"__Host-{SESSION}" if is_encrypted(scope) else SESSION


def form_cookie(scope: Scope) -> str:
    """Name of the cookie of a log-in form."""
    return session_cookie(scope) + "-form"


def _sent_tokens(scope: Scope, headers: MutableMapping[bytes, str]) -> list[str]:
    """Tokens of the Authorization header and the query, which a browser does not add by itself."""
    scheme, _, bearer = headers.get(b"authorization", "").partition(" ")
    found = [bearer.strip() if scheme.lower() == "bearer" else "", _query_token(scope)]
    return [token for token in found if token]


def _query_token(scope: Scope) -> str:
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("token", [""])[0]


def _cookies(headers: MutableMapping[bytes, str]) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(headers.get(b"cookie", "")).items()}
    except CookieError:
        return {}


def _csrf_of(token: str) -> str:
    """Return the CSRF token of the cookie of a token: known to the station's own page, which is filled with it."""
    return sha256(b"edge-inspect csrf " + token.encode("utf-8", "surrogatepass")).hexdigest()


def _is_same(known: str, shown: str) -> bool:
    return secrets.compare_digest(known.encode(), shown.encode())


def _not_well_formed(headers: MutableMapping[bytes, str], most_bytes: int) -> Refusal | None:
    """Refuse a request that changes something from a page of another site, or without a bounded body."""
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin).netloc != headers.get(b"host"):
        return Refusal(403, f"found a request from {origin!r}, expected one from the station's own page")
    if b"transfer-encoding" in headers:
        return Refusal(411, "found a body of unknown length, expected a Content-Length")
    if int(headers.get(b"content-length", 0)) > most_bytes:  # digits only: uvicorn's parser sees to it
        return Refusal(413, f"found {headers[b'content-length']} bytes, expected at most {most_bytes}")
    return None


def _not_allowed(visitor: Visitor, scope: Scope, headers: MutableMapping[bytes, str]) -> Refusal | None:
    """Refuse a request that changes something without the role for it, or with a cookie alone."""
    role, needed = visitor.role or READER, NEEDED.get(scope["path"], OPERATOR)
    if ROLES.index(role) < ROLES.index(needed):
        return Refusal(403, f"found the role {role}, expected {needed}: log in, or use the {needed}_token of [page]")
    if visitor.csrf is not None and not _is_same(visitor.csrf, headers.get(CSRF_HEADER, "")):
        return Refusal(403, "found no CSRF token of this session, expected the X-CSRF-Token header; reload the page")
    return None
