"""Where the belt is, from encoder counts that arrive now and then."""

from collections import deque

U32 = 2**32
HALF = 2**31
SPEED_S = 1.0
"""The speed is that of the last second: counts that were held up arrive in bursts, which say nothing of it."""
LEAST_S = 0.02
"""Readings that are closer together tell no speed."""


class Belt:
    """Unrolls a u32 encoder into places that only grow, and carries on between its readings at the belt's speed.

    The carrying on ends `coast_s` after the last reading; then the belt's place is not known until the next one.
    """

    def __init__(self, coast_s: float, back: float) -> None:
        """`back`: by more counts than this no belt creeps back, so the encoder must have started anew."""
        self._coast_s, self._back = coast_s, back
        self._readings: deque[tuple[int, float]] = deque()  # unrolled, with their times; of the last second
        self._speed = 0.0
        """Counts a second."""

    @property
    def known(self) -> bool:
        """Whether there has been any reading."""
        return bool(self._readings)

    def read(self, count: int, now: float) -> bool:
        """Take the encoder's count, u32; false if it has started anew, and all places of before mean nothing."""
        place = self.place(count)
        if self.known and place < self._readings[-1][0] - self._back:
            self.forget()
            self._readings.append((count, now))
            return False
        self._readings.append((place, now))
        self._measure()
        return True

    def forget(self) -> None:
        """Wait for a first reading."""
        self._readings.clear()
        self._speed = 0.0

    def place(self, count: int) -> int:
        """Return the place of a count near the present one, less than half a revolution of the u32 away."""
        if not self._readings:
            return count
        last = self._readings[-1][0]
        return last + (count - last + HALF) % U32 - HALF

    def age(self, now: float) -> float:
        """Seconds since the last reading; without end before the first."""
        return now - self._readings[-1][1] if self._readings else float("inf")

    def fresh(self, now: float) -> bool:
        """Whether the belt's place is known."""
        return self.age(now) <= self._coast_s

    def at(self, now: float) -> float:
        """Return the belt's place, carried on at its speed; needs a first reading."""
        place, read_at = self._readings[-1]
        return place + self._speed * min(now - read_at, self._coast_s)

    def _measure(self) -> None:
        """Take the speed from the readings of the last second, and at least two; what creeps back is taken to stand."""
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
