"""When a frame was begun, told by this computer's clock."""

from collections import deque

WINDOW_S = 10.0
"""Clocks differ by up to 1e-4, so over this window by at most 1 ms."""


class DeviceClock:
    """Translates the stamps of a device's own clock.

    The frame that came through quickest shows how the two clocks stand: no frame can arrive before it is taken. A frame
    that something held up therefore does not pass for a fresh one. Without stamps only the arrival is known, and a
    frame that is held up for longer than `latency_s` looks younger than it is.
    """

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._leads: deque[tuple[float, float]] = (
            deque()
        )  # (arrived, lead), both rising: the smallest lead is the first

    def began(self, stamp: float | None, arrived: float) -> float:
        """Return the earliest moment at which this frame's exposure can have begun, given that `latency_s` is true."""
        if stamp is None:
            return arrived - self._latency_s
        lead = arrived - stamp
        while self._leads and self._leads[-1][1] >= lead:
            self._leads.pop()
        self._leads.append((arrived, lead))
        while arrived - self._leads[0][0] > WINDOW_S:
            self._leads.popleft()
        return stamp + self._leads[0][1] - self._latency_s
