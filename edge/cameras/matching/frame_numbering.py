"""Frames that nobody asked for, each an exposure of its own: of a camera in free run, or on a sensor's wire."""

from collections import deque
from statistics import median

from edge.cameras.matching.trigger_matching import Answer, ArrivedFrame, TriggerMatching

LEARNED = 15
"""Intervals of which the middle one is the camera's period; until there are so many, no gap is found by time."""


class FrameNumbering(TriggerMatching):
    """Numbers the frames as they come; where some were lost on the way, it leaves out as many numbers.

    Lost frames show in the device's own count. `steady`: without one they show in the times of a camera that runs at
    one rate.
    """

    def __init__(self, timeout_s: float, steady: bool) -> None:
        super().__init__(timeout_s)
        self._steady = steady
        self._exposure = 0
        self._last: ArrivedFrame | None = None
        self._intervals: deque[float] = deque(maxlen=LEARNED)

    def settle(self, now: float) -> list[Answer]:
        """Give every frame its number."""
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
            return max(0, picture.number - self._last.number - 1)  # below 0 where the count wraps or starts anew
        return self._lost_by_time(picture.began - self._last.began) if self._steady else 0

    def _lost_by_time(self, interval: float) -> int:
        lost = 0
        if len(self._intervals) == LEARNED:
            lost = max(0, round(interval / max(median(self._intervals), 1e-6)) - 1)
        if not lost:
            self._intervals.append(interval)
        return lost
