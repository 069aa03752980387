"""A wire that goes wrong in every way a wire can, in time that is passed in."""

import math
from collections import deque
from dataclasses import dataclass
from random import Random

BITS_PER_BYTE = 10  # 8N1


@dataclass(frozen=True)
class Faults:
    """Fault probabilities of a wire, per write; `bit_flip` is per bit.

    A `burst` inverts bits at random over up to `burst_bytes`, a `drop` swallows some bytes of a write or all of it, a
    `delay` holds it (and all behind it) for up to `delay_s`, a `cut` swallows everything for up to `cut_s`.
    """

    bit_flip: float = 0.0
    burst: float = 0.0
    burst_bytes: int = 16
    drop: float = 0.0
    duplicate: float = 0.0
    split: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.05
    cut: float = 0.0
    cut_s: float = 3.0


class FaultyWire:
    """One direction of a serial line at `baud`; bytes never overtake each other."""

    def __init__(self, faults: Faults, random: Random, baud: int = 115_200) -> None:
        """Begin with a wire that is whole and idle."""
        self.faults, self.cut_until = faults, 0.0
        self._random, self._byte_s = random, BITS_PER_BYTE / baud
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0
        self._log_whole = math.log1p(-faults.bit_flip) if faults.bit_flip else 0.0
        self._bits_to_flip = self._gap()

    def put(self, data: bytes, now: float) -> None:
        """Take one write."""
        faults, hit = self.faults, self._hit
        if hit(faults.cut):
            self.cut_until = max(self.cut_until, now + self._random.uniform(0.0, faults.cut_s))
        if now < self.cut_until:
            return
        if hit(faults.drop):
            data = self._without_some(data)
        if hit(faults.burst):
            data = self._burst(data)
        if hit(faults.duplicate):
            data += data
        pieces = self._split(data) if hit(faults.split) else [data]
        for piece in pieces:
            held_s = self._random.uniform(0.0, faults.delay_s) if hit(faults.delay) else 0.0
            self._free_at = max(self._free_at, now) + held_s + len(piece) * self._byte_s
            self._under_way.append((self._free_at, self._flip(piece)))

    def take(self, now: float) -> bytes:
        """Return what has arrived by `now`."""
        arrived = b""
        while self._under_way and self._under_way[0][0] <= now:
            arrived += self._under_way.popleft()[1]
        return arrived

    def next_arrival(self) -> float:
        """Return the time at which `take` next has something."""
        return self._under_way[0][0] if self._under_way else math.inf

    def _hit(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _gap(self) -> int:
        """Draw the number of whole bits before the next flipped one (geometric distribution)."""
        return int(math.log(1 - self._random.random()) / self._log_whole) if self._log_whole else -1

    def _flip(self, data: bytes) -> bytes:
        if self._bits_to_flip < 0 or self._bits_to_flip >= 8 * len(data):
            self._bits_to_flip -= 8 * len(data) if self._bits_to_flip >= 0 else 0
            return data
        flipped = bytearray(data)
        while self._bits_to_flip < 8 * len(data):
            flipped[self._bits_to_flip // 8] ^= 1 << self._bits_to_flip % 8
            self._bits_to_flip += 1 + self._gap()
        self._bits_to_flip -= 8 * len(data)
        return bytes(flipped)

    def _burst(self, data: bytes) -> bytes:
        start = self._random.randrange(len(data)) if data else 0
        length = min(self._random.randint(1, self.faults.burst_bytes), len(data) - start)
        noise = self._random.randbytes(length)
        struck = bytes(byte ^ flip for byte, flip in zip(data[start:], noise, strict=False))
        return data[:start] + struck + data[start + length :]

    def _without_some(self, data: bytes) -> bytes:
        start, end = sorted(self._random.choices(range(len(data) + 1), k=2))
        return data[:start] + data[end:] if self._hit(0.5) else b""

    def _split(self, data: bytes) -> list[bytes]:
        middle = self._random.randint(0, len(data))
        return [data[:middle], data[middle:]]
