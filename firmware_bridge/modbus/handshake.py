"""The Modbus handshake, either side of it: registers of the other in, registers of one's own out. No clock, no wire.

    station:  0 ──enable is 0──> 1 ──enable is 1──> 2 ──enable is 0, or silence, or no acknowledgement──> 0
    PLC:      enable 0 until state is 1, then 3 (map version); open while state is 2; anything else: enable 0

So neither side can restart without the other's notice, and nothing from before a restart is acted on. Sequence
numbers are toggles that cannot be mistaken for an older position of themselves.
"""

from typing import Protocol

from firmware_bridge.events import Event
from firmware_bridge.messages import Message
from firmware_bridge.modbus.register_map import Block
from firmware_bridge.sequence import following
from firmware_bridge.timing import Timing

DISABLED, READY, ENABLED = range(3)


class Handshake(Protocol):
    """One side: `mine` are the blocks that it writes, in the order of writing, `theirs` those that it reads."""

    mine: tuple[Block, ...]
    theirs: tuple[Block, ...]

    @property
    def is_open(self) -> bool:
        """Whether both sides are at work."""

    def image(self, block: Block) -> list[int]:
        """Return the registers of one of my blocks as they are to be now."""

    def take(self, values: dict[str, dict[str, int]], now: float) -> list[Event]:
        """Act on the other side's values, by block and name."""

    def send(self, message: Message, now: float) -> list[Event]:
        """Take a message."""

    def tick(self, now: float) -> list[Event]:
        """Count the heartbeat up and detect a silent peer."""

    def next_tick(self) -> float:
        """Return the time of the next `tick`."""


class Pulse:
    """Both heartbeats: counts one's own up, watches the other's change."""

    def __init__(self, timing: Timing, now: float) -> None:
        self.timing, self.count, self.lost = timing, 0, False
        self._beat_at = now + timing.heartbeat_s / 2  # half, because the other side sees it only when it polls
        self._theirs, self._heard_at = -1, now

    def hear(self, count: int, now: float) -> None:
        """Note the other side's count."""
        if count != self._theirs:
            self._theirs, self._heard_at = count, now

    def silent_s(self, now: float) -> float:
        """Seconds since the other side's count last changed."""
        return now - self._heard_at

    def tick(self, now: float) -> bool:
        """Return true once when the other side is lost."""
        if now >= self._beat_at:
            self.count, self._beat_at = following(self.count), now + self.timing.heartbeat_s / 2
        if self.lost or now < self._heard_at + self.timing.silence_s:
            return False
        self.lost = True
        return True

    def next_tick(self) -> float:
        """Return the time of the next `tick`."""
        return self._beat_at if self.lost else min(self._beat_at, self._heard_at + self.timing.silence_s)
