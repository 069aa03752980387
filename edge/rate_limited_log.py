"""Rate limit of the log: lines that a PLC, a camera or a reader can cause at will do not fill the disk."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

LINES, WINDOW_S = 20, 60.0
"""Most lines of one kind in a window, and its length; further ones are counted."""
KINDS = 500
"""Most kinds at a time; those beyond share the limit of one kind."""
_Kind = tuple[str, int, str, str]


@dataclass
class _Window:
    began: float
    lines: int = 0
    left_out: int = 0
    latest: logging.LogRecord | None = None
    """Latest record that was left out."""


class RateLimitedHandler(logging.Handler):
    """Passes records on to another handler, at most `LINES` of a kind in `WINDOW_S` seconds.

    A kind is a message before its values are filled in, and the `kind` of the record where it has one
    (`log.info(..., extra={"kind": ...})`). One line at the end of a window says how many were left out; it is written
    with the next record of any kind, or when the handler is closed.
    """

    def __init__(self, target: logging.Handler, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(target.level)
        self._target, self._clock = target, clock
        self._windows: dict[_Kind, _Window] = {}
        self._next_end = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, or count it."""
        now = self._clock()
        if now >= self._next_end:
            self._end_windows(now)
        kind = record.name, record.levelno, str(record.msg), str(getattr(record, "kind", ""))
        if kind not in self._windows and len(self._windows) >= KINDS:
            kind = "", 0, "", ""
        window = self._windows.setdefault(kind, _Window(now))
        if window.lines < LINES:
            window.lines += 1
            self._target.handle(record)
        else:
            window.left_out += 1
            window.latest = record

    def close(self) -> None:
        """Write the counts that are open, and close the other handler."""
        self._end_windows(float("inf"))
        self._target.close()
        super().close()

    def _end_windows(self, now: float) -> None:
        ended = [kind for kind, window in self._windows.items() if window.began + WINDOW_S <= now]
        for kind in ended:
            window = self._windows.pop(kind)
            if window.latest is not None:
                self._target.handle(_summary(window.latest, window.left_out))
        self._next_end = min((window.began for window in self._windows.values()), default=now) + WINDOW_S


def _summary(latest: logging.LogRecord, left_out: int) -> logging.LogRecord:
    text, values = "%d more lines of this kind within %.0f s; the latest: %s", (left_out, WINDOW_S, latest.getMessage())
    return logging.LogRecord(latest.name, latest.levelno, latest.pathname, latest.lineno, text, values, None)
