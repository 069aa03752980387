"""Sessions of users who have logged in, in the memory of the page's process."""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from edge.access.users import User, UserFile
from edge.errors import AccessError

MOST = 500
"""Sessions at a time; the one that was unused for longest ends for a new one."""
log = logging.getLogger(__name__)


@dataclass
class UserSession:
    """One log-in of a user in one browser."""

    name: str
    user: User
    """As at the log-in; the session ends where role or password differ from it."""
    began: float
    used: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """Token that a request which changes something has to show beside the cookie."""


class Sessions:
    """The sessions by the hash of their cookie."""

    def __init__(self, file: UserFile, idle_s: float, lasts_s: float, clock: Callable[[], float]) -> None:
        """`idle_s`: end without use. `lasts_s`: end in any case."""
        self.file, self._idle_s, self._lasts_s, self._clock = file, idle_s, lasts_s, clock
        self._sessions: OrderedDict[bytes, UserSession] = OrderedDict()

    def begin(self, name: str, user: User) -> str:
        """Begin a session; returns the value of its cookie, which is always a new one."""
        cookie = secrets.token_urlsafe(32)
        self._sessions[_key(cookie)] = UserSession(name, user, self._clock(), self._clock())
        while len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str, uses: bool) -> UserSession | None:
        """Return the session of a cookie, None if it has ended. `uses`: a person's request, which keeps it alive."""
        key = _key(cookie)
        session = self._sessions.get(key)
        if session is None:
            return None
        if not self._lasts(session):
            del self._sessions[key]
            return None
        if uses:
            session.used = self._clock()
            self._sessions.move_to_end(key)
        return session

    def end(self, cookie: str) -> UserSession | None:
        """End a session; returns it."""
        return self._sessions.pop(_key(cookie), None)

    def _lasts(self, session: UserSession) -> bool:
        now = self._clock()
        if now - session.used >= self._idle_s or now - session.began >= self._lasts_s:
            return False
        try:
            return self.file.users().get(session.name) == session.user
        except AccessError as error:
            log.warning("page: all sessions end: %s", error)
            return False


def _key(cookie: str) -> bytes:
    return sha256(cookie.encode("utf-8", "surrogatepass")).digest()
