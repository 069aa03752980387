"""Start of exposure on this computer's clock, from the device's timestamps."""

from collections import deque

WINDOW_S = 10.0
"""Clock drift is up to 1e-4, so at most 1 ms over this window."""


class DeviceClock:
    """Converts timestamps of a device's clock to this computer's clock.

    The offset of the clocks is the smallest difference between arrival and timestamp within a window, so a delayed
    frame keeps its true time. Without timestamps only the arrival is known: a frame that is delayed by more than
    `latency_s` appears newer than it is.
    """

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._leads: deque[tuple[float, float]] = (
            deque()
        )  # (arrived, lead), both increasing: the first has the smallest lead

    def began(self, stamp: float | None, arrived: float) -> float:
        """Return the earliest possible start of this frame's exposure, if `latency_s` is correct."""
        if stamp is None:
            return arrived - self._latency_s
        lead = arrived - stamp
        while self._leads and self._leads[-1][1] >= lead:
            self._leads.pop()
        self._leads.append((arrived, lead))
        while arrived - self._leads[0][0] > WINDOW_S:
            self._leads.popleft()
        return stamp + self._leads[0][1] - self._latency_s
