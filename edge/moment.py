"""A moment that somebody waits for."""

import threading


class Moment:
    """Something that happens once: a lock that is held until then.

    `threading.Event` is written in Python, and where an inference has just emptied the processor's caches, each of a
    part's two hand-overs took 20 us longer with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def come(self) -> None:
        """Wake whoever waits; to be called once."""
        self._lock.release()

    def wait(self, timeout_s: float) -> bool:
        """Wait for it; false if it has not come after `timeout_s`."""
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            return False
        self._lock.release()
        return True
