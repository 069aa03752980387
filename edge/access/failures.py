"""Limit on failed attempts by key, in bounded memory."""

import secrets
from collections import deque
from collections.abc import Callable
from hashlib import blake2b

SLOTS = 8192
"""Of each limit. Keys share them by a keyed hash: a flood of other keys pushes no count out, and finds no neighbour."""


class FailureLimit:
    """Counts failures of a key, such as an address, in a sliding window."""

    def __init__(self, most: int, window_s: float, clock: Callable[[], float]) -> None:
        self.most, self.window_s = most, window_s
        self._clock, self._secret = clock, secrets.token_bytes(16)
        self._times: dict[int, deque[float]] = {}

    def is_reached(self, key: str) -> bool:
        """Whether the key has as many failures as are allowed in the window."""
        times = self._times.get(slot := self._slot(key), deque())
        while times and times[0] <= self._clock() - self.window_s:
            times.popleft()
        if not times:
            self._times.pop(slot, None)
        return len(times) >= self.most

    def note(self, key: str) -> None:
        """Count a failure."""
        self._times.setdefault(self._slot(key), deque(maxlen=self.most)).append(self._clock())

    def forget(self, key: str) -> None:
        """Set the count of a key to none."""
        self._times.pop(self._slot(key), None)

    def _slot(self, key: str) -> int:
        digest = blake2b(key.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=8).digest()
        return int.from_bytes(digest, "big") % SLOTS
