"""Which of the rejected parts have arrived in the bin, by the count of a sensor there."""

from collections import deque

U16 = 2**16


class Confirmation:
    """Gives each arrival to the rejected part that has waited longest; no clock.

    The sensor counts and knows no part: a part that somebody else threw into the bin confirms the wrong one.
    """

    def __init__(self, within: float) -> None:
        """`within` is the longest way, or time, from a part's place to its arrival, in the caller's unit."""
        self.unexpected = 0
        """Arrivals that nobody waited for."""
        self._within = within
        self._waiting: deque[tuple[int, float]] = deque()  # keys with the places of their parts
        self._count: int | None = None

    def expect(self, key: int, place: float) -> None:
        """Take a part that was, or will be, thrown out."""
        self._waiting.append((key, place))

    def arrived(self, count: int) -> list[int]:
        """Take the sensor's count, a u16 that wraps; returns the parts that it confirms."""
        new = 0 if self._count is None else (count - self._count) % U16
        self._count = count
        confirmed = [self._waiting.popleft()[0] for _ in range(min(new, len(self._waiting)))]
        self.unexpected += new - len(confirmed)
        return confirmed

    def advance(self, position: float) -> list[int]:
        """Move on to this place, or time; returns the parts that should have arrived by now."""
        missing = []
        while self._waiting and position > self._waiting[0][1] + self._within:
            missing.append(self._waiting.popleft()[0])
        return missing

    def forget(self) -> None:
        """Wait for nobody, because the sensor's count and all places start anew."""
        self._waiting.clear()
        self._count = None
