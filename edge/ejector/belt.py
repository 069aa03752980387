"""Belt position from intermittent encoder counts, extrapolated at the belt's speed."""

from collections import deque

U32 = 2**32
HALF = 2**31
SPEED_S = 1.0
"""Window of the speed estimate: delayed counts arrive in bursts, which shorter windows would take for speed."""
LEAST_S = 0.02
"""Shortest time between two counts for a speed estimate."""


class Belt:
    """Unwraps a u32 encoder into increasing places, and extrapolates between its readings at the belt's speed.

    Extrapolation ends `coast_s` after the last reading; then the place is unknown until the next one.
    """

    def __init__(self, coast_s: float, back: float) -> None:
        """back: a larger step back, in counts, means that the encoder has restarted."""
        self._coast_s, self._back = coast_s, back
        self._readings: deque[tuple[int, float]] = deque()  # unwrapped counts with their times, of the last second
        self._speed = 0.0
        """Counts per second."""

    @property
    def known(self) -> bool:
        """True once there is a reading."""
        return bool(self._readings)

    def read(self, count: int, now: float) -> bool:
        """Add a reading, u32; false if the encoder has restarted, which invalidates all earlier places."""
        place = self.place(count)
        if self.known and place < self._readings[-1][0] - self._back:
            self.forget()
            self._readings.append((count, now))
            return False
        self._readings.append((place, now))
        self._measure()
        return True

    def forget(self) -> None:
        """Discard all readings."""
        self._readings.clear()
        self._speed = 0.0

    def place(self, count: int) -> int:
        """Return the place of a count less than half a revolution of the u32 away from the last reading."""
        if not self._readings:
            return count
        last = self._readings[-1][0]
        return last + (count - last + HALF) % U32 - HALF

    def age(self, now: float) -> float:
        """Seconds since the last reading; infinite before the first."""
        return now - self._readings[-1][1] if self._readings else float("inf")

    def fresh(self, now: float) -> bool:
        """True while the place is known."""
        return self.age(now) <= self._coast_s

    def at(self, now: float) -> float:
        """Return the extrapolated place; requires a reading."""
        place, read_at = self._readings[-1]
        return place + self._speed * min(now - read_at, self._coast_s)

    def _measure(self) -> None:
        """Estimate the speed from the readings of the last second, at least two; a belt that moves back has speed 0."""
        place, now = self._readings[-1]
        while len(self._readings) > 2 and now - self._readings[0][1] > SPEED_S:
            self._readings.popleft()
        if len(self._readings) < 2:
            return
        before, then = self._readings[0]
        if place <= self._readings[-2][0]:
            self._speed = 0.0
        elif now - then >= LEAST_S:
            self._speed = max(0.0, (place - before) / (now - then))
