"""Sequence numbers: u16 with wrap-around, and which of them have been seen."""

from dataclasses import dataclass

MODULUS = 0x10000
HISTORY = 64
"""The receiver remembers this many numbers; the sender's oldest unacknowledged one is less than half as far back."""


def following(number: int) -> int:
    """Return the number after `number`."""
    return (number + 1) % MODULUS


def distance(older: int, newer: int) -> int:
    """Return the distance from `older` to `newer`, from -32768 to 32767."""
    return (newer - older + MODULUS // 2) % MODULUS - MODULUS // 2


@dataclass
class Seen:
    """The sequence numbers that have arrived from one session of the peer."""

    _newest: int | None = None
    _bits: int = 0  # bit n: `newest - n` has been seen

    def first_time(self, number: int) -> bool:
        """Note `number`; false if it was seen before, or is too old to tell."""
        if self._newest is None:
            self._newest = number
        ahead = distance(self._newest, number)
        if ahead > 0:
            self._bits = self._bits << ahead if ahead < HISTORY else 0
            self._newest, ahead = number, 0
        if -ahead >= HISTORY or self._bits >> -ahead & 1:
            return False
        self._bits = (self._bits | 1 << -ahead) & ((1 << HISTORY) - 1)
        return True
