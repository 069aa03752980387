"""Contract of one end of a line, which knows neither clock nor port; a link drives it."""

import math
from dataclasses import dataclass
from typing import Protocol

from firmware_bridge.events import Event, LineCleared, LineDisturbed, LineTrouble
from firmware_bridge.messages import Message
from firmware_bridge.timing import Timing


@dataclass
class LinkTally:
    """Message counts of an endpoint; `strangers` came from, or were for, another device."""

    sent: int = 0
    received: int = 0
    duplicates: int = 0
    strangers: int = 0
    malformed: int = 0


HOLD_S = 5.0
"""A disturbance is over when it has not come back for this long."""

UNREADABLE_BYTES = 512
"""This many bytes without a frame among them, more than three of the longest, are no noise of an idle line."""


class Disturbances:
    """Disturbances of the wire, each told when it begins and when it is over."""

    def __init__(self) -> None:
        """Begin without any."""
        self._until: dict[LineTrouble, float] = {}
        self._unreadable = 0  # bytes since the last frame

    def note(self, trouble: LineTrouble, reason: str, now: float) -> list[Event]:
        """Note that a disturbance was noticed."""
        begins = trouble not in self._until
        self._until[trouble] = now + HOLD_S
        return [LineDisturbed(trouble, reason)] if begins else []

    def heard(self, size: int, is_frame: bool, reason: str, now: float) -> list[Event]:
        """Note `size` bytes with or without a frame among them."""
        self._unreadable = 0 if is_frame else self._unreadable + size
        if self._unreadable < UNREADABLE_BYTES:
            return []
        return self.note(LineTrouble.UNREADABLE, reason, now)

    def tick(self, now: float) -> list[Event]:
        """Return what is over."""
        over = [trouble for trouble, until in self._until.items() if until <= now]
        for trouble in over:
            del self._until[trouble]
        return [LineCleared(trouble) for trouble in over]

    def next_tick(self) -> float:
        """Return the time of the next `tick` that has something to say."""
        return min(self._until.values(), default=math.inf)


class Endpoint(Protocol):
    """One end; `now` is in seconds of any monotonic clock and must not run backwards."""

    timing: Timing
    tally: LinkTally

    @property
    def is_open(self) -> bool:
        """Whether messages can pass both ways."""

    def send(self, message: Message, now: float) -> list[Event]:
        """Take a message for delivery."""

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the port."""

    def tick(self, now: float) -> list[Event]:
        """Run the timers: repetitions, timeouts, heartbeats."""

    def next_tick(self) -> float:
        """Return the time at which `tick` next has something to do."""

    def outgoing(self) -> bytes:
        """Return the bytes to be written, which are then forgotten."""
