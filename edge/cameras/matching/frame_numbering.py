"""Frame numbering without trigger messages: each frame is an exposure, lost frames leave gaps."""

from collections import deque
from math import inf
from statistics import median

from edge.cameras.matching.trigger_matching import Answer, ArrivedFrame, TriggerMatching

LEARNED = 15
"""Intervals whose median is the camera's period; before that many, gaps are not detected by time."""


class FrameNumbering(TriggerMatching):
    """Numbers frames in order of arrival and skips one number for each lost frame.

    Lost frames are detected by the device's frame counter; without one, and with a constant rate (`steady`), by time.
    """

    def __init__(self, steady: bool) -> None:
        super().__init__(timeout_s=inf)  # no exposure waits for its frame
        self._steady = steady
        self._exposure = 0
        self._last: ArrivedFrame | None = None
        self._intervals: deque[float] = deque(maxlen=LEARNED)

    def settle(self, now: float) -> list[Answer]:
        """Number every received frame."""
        answers = []
        while self._pictures:
            picture = self._pictures.popleft()
            self._exposure += 1 + self._lost_before(picture)
            self._last = picture
            answers.append((self._exposure, picture))
        return answers

    def abandon(self) -> list[int]:
        """Count the loss of the device as one lost exposure."""
        super().abandon()
        self._exposure, self._last = self._exposure + 1, None
        return [self._exposure]

    def _lost_before(self, picture: ArrivedFrame) -> int:
        if self._last is None:
            return 0
        if picture.number is not None and self._last.number is not None:
            return max(0, picture.number - self._last.number - 1)  # negative if the counter wraps or restarts
        return self._lost_by_time(picture.began - self._last.began) if self._steady else 0

    def _lost_by_time(self, interval: float) -> int:
        lost = 0
        if len(self._intervals) == LEARNED:
            lost = max(0, round(interval / max(median(self._intervals), 1e-6)) - 1)
        if not lost:
            self._intervals.append(interval)
        return lost
