"""The log-in of users at the page: its form, and what became of a form that was sent."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qs

from edge.access.log_in import LockedOut, LogIn
from edge.access.passwords import normal
from edge.access.sessions import Sessions
from edge.page.log_in_page import language, log_in_page

WAITING = 8
"""Log-ins that may wait for the one that is checked; further ones are told to try again."""


@dataclass(frozen=True)
class FormAnswer:
    """Answer to a visit of the form, or to a form that was sent."""

    status: int
    page: str = ""
    form: str = ""
    """Token of the form, as its cookie."""
    session: str = ""
    """Cookie of the session that was begun; empty where none was."""


@dataclass(frozen=True)
class Sent:
    """A form that was sent, with what the browser adds."""

    body: bytes
    form_cookie: str
    session_cookie: str
    is_encrypted: bool
    address: str
    languages: str


class LogInForm:
    """Shows the form and takes it, one after the other: each check of a password takes a processor for a while."""

    def __init__(self, log_in: LogIn, sessions: Sessions, lang: str | None, with_token: bool) -> None:
        self._log_in, self._sessions = log_in, sessions
        self._lang, self._with_token = lang, with_token
        self._one, self._waiting = asyncio.Lock(), 0

    def show(self, languages: str, problem: str = "", status: int = 200) -> FormAnswer:
        """Return the form with a token of its own. `languages`: Accept-Language."""
        form = secrets.token_urlsafe(32)
        page = log_in_page(language(self._lang, languages), form, problem, self._with_token)
        return FormAnswer(status, page, form)

    async def take(self, sent: Sent) -> FormAnswer:
        """Begin a session where name and password are right; the form again, with the reason, where not."""
        if not (sent.is_encrypted or _is_this_computer(sent.address)):
            return self.show(sent.languages, "clear", 403)
        fields = _fields(sent.body)
        name = normal(fields["name"])
        if not sent.form_cookie or not secrets.compare_digest(fields["form"].encode(), sent.form_cookie.encode()):
            return self.show(sent.languages, "stale", 403)
        if self._waiting >= WAITING:
            return self.show(sent.languages, "busy", 503)
        self._waiting += 1
        try:
            async with self._one:
                user = await asyncio.to_thread(self._log_in.attempt, name, fields["password"], sent.address)
        except LockedOut:
            return self.show(sent.languages, "locked", 429)
        finally:
            self._waiting -= 1
        if user is None:
            return self.show(sent.languages, "failed", 401)
        if sent.session_cookie:
            self._sessions.end(sent.session_cookie)  # a browser has one session, and never one that it brought along
        return FormAnswer(303, session=self._sessions.begin(name, user))

    def end(self, cookie: str, name: str, address: str) -> None:
        """Log a user out; raises AccessError where that cannot be noted, after the session has ended."""
        self._sessions.end(cookie)
        self._log_in.accesses.note("log-out", name, address)


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=10)
    except ValueError:  # no UTF-8, too many fields
        found = {}
    return {name: found.get(name, [""])[0] for name in ("form", "name", "password")}


def _is_this_computer(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
