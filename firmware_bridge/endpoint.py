"""What a link drives: one end of a line, which knows neither clock nor port."""

from dataclasses import dataclass
from typing import Protocol

from firmware_bridge.events import Event
from firmware_bridge.messages import Message
from firmware_bridge.timing import Timing


@dataclass
class LinkTally:
    """What an endpoint has counted, in messages; `strangers` came from, or for, somebody else."""

    sent: int = 0
    received: int = 0
    duplicates: int = 0
    strangers: int = 0
    malformed: int = 0


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
        """Do what time asks for."""

    def next_tick(self) -> float:
        """Give the time at which `tick` next has something to do."""

    def outgoing(self) -> bytes:
        """Give the bytes to be written, which are then forgotten."""
