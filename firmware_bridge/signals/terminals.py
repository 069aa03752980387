"""Terminals and times of the 24 V handshake; SIGNALS.md describes it.

A level is a bit that is 1 while the terminal carries 24 V. Every bit 0, as after power loss or a cut cable, is the safe
state: not ready, no result, error.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

from firmware_bridge.address import one_of, whole_number
from firmware_bridge.events import Event
from firmware_bridge.messages import Message


class Terminal(IntFlag):
    """Outputs of the station, in the order of a module's coils."""

    READY = 1
    BUSY = 2
    OK = 4
    NG = 8
    STROBE = 16
    ERROR = 32
    """Inverted: 24 V while there is no error."""


TRIGGER = 1
"""Output of the PLC, the only one."""

TIMES_MS = {"debounce_ms": 2, "settle_ms": 5, "strobe_ms": 50, "take_ms": 1000, "poll_ms": 2, "refresh_ms": 100}
"""Options of an address, in milliseconds, with their defaults."""
_RANGES = {"debounce_ms": range(101), "poll_ms": range(1, 51), "refresh_ms": range(10, 1001)}
_RANGE = range(1, 10_001)
MODES = ("held", "pulse")
"""Shape of the trigger: held until the result, or a pulse that ends before."""


@dataclass(frozen=True)
class SignalTimes:
    """Times in seconds.

    `debounce_s`: TRIGGER must be stable for this long. `settle_s`: OK and NG stand this long before and after STROBE.
    `strobe_s`: length of STROBE for a pulse trigger. `take_s`: longest wait for the PLC to take a result. `poll_s`:
    pause between two samples of TRIGGER. `refresh_s`: the outputs are written again after this long without a change.
    """

    debounce_s: float = TIMES_MS["debounce_ms"] / 1e3
    settle_s: float = TIMES_MS["settle_ms"] / 1e3
    strobe_s: float = TIMES_MS["strobe_ms"] / 1e3
    take_s: float = TIMES_MS["take_ms"] / 1e3
    poll_s: float = TIMES_MS["poll_ms"] / 1e3
    refresh_s: float = TIMES_MS["refresh_ms"] / 1e3
    held: bool = True


def read_times(address: str, options: dict[str, str]) -> SignalTimes:
    """Return the times that an address asks for.

    Raises AddressInvalid.
    """
    times_s = {
        name.removesuffix("ms") + "s": whole_number(address, options, name, default, _RANGES.get(name, _RANGE)) / 1e3
        for name, default in TIMES_MS.items()
    }
    return SignalTimes(**times_s, held=one_of(address, options, "mode", MODES) == "held")


class SignalHandshake(Protocol):
    """One side of the handshake: levels of the other side in, levels of its own out. No clock, no wire."""

    @property
    def is_open(self) -> bool:
        """Whether the other side is ready."""

    @property
    def levels(self) -> int:
        """Levels of the own terminals as they are to be now."""

    def shown(self, levels: int, now: float) -> list[Event]:
        """Record that these levels are at the terminals."""

    def sample(self, levels: int, now: float) -> list[Event]:
        """Take a sample of the other side's terminals."""

    def lose(self, now: float) -> list[Event]:
        """Record that the terminals cannot be reached and the own outputs are off."""

    def send(self, message: Message, now: float) -> list[Event]:
        """Take a message."""

    def tick(self, now: float) -> list[Event]:
        """Run the timers of the handshake."""

    def next_tick(self) -> float:
        """Return the time of the next `tick`."""
