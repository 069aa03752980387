"""Output contract: a digital output to the ejector; and its simulation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import Literal, TypeVar

from pydantic import Field

from edge.address import AddressOptions, parse_options
from edge.errors import OutputError

Chosen = TypeVar("Chosen", bound=AddressOptions)


class OutputOptions(AddressOptions):
    """Address options of every hardware output."""

    active: Literal["high", "low"] = Field(default="high", description="level of the output while the ejector fires")


class Output(ABC):
    """Opened output, initially off; used by one thread."""

    def __init__(self, address: str) -> None:
        self.address = address

    def set(self, on: bool) -> None:
        """Switch the output; raises OutputError on failure, after which it may be called again."""
        try:
            self._set(on)
        except OSError as error:
            raise OutputError(
                f"ejector {self.address}: cannot be switched {'on' if on else 'off'} ({error}); check the device"
            ) from None

    @abstractmethod
    def _set(self, on: bool) -> None:
        """Switch the hardware; raises OSError."""

    @abstractmethod
    def close(self) -> None:
        """Release the hardware; its level afterwards depends on the device."""


def read_options(address: str, model: type[Chosen]) -> Chosen:
    """Parse the options of an address; raises OutputError with option, found and expected."""
    try:
        return parse_options(address, model)
    except ValueError as error:
        raise OutputError(f"ejector {address}: {error}") from None


class SimulatedOutput(Output):
    """Output without hardware that records its pulses."""

    def __init__(self, address: str = "simulated://", clock: Callable[[], float] = monotonic) -> None:
        super().__init__(address)
        self.switched: list[tuple[float, bool]] = []
        """Time in seconds of the clock and new state of each change."""
        self.closed = False
        self._clock = clock

    @property
    def on(self) -> bool:
        """Present state."""
        return bool(self.switched) and self.switched[-1][1]

    @property
    def pulses(self) -> int:
        """Number of pulses so far."""
        return sum(on for _, on in self.switched)

    def _set(self, on: bool) -> None:
        if on != self.on:
            self.switched.append((self._clock(), on))

    def close(self) -> None:
        """Record the closing."""
        self.closed = True


def open_simulated(address: str) -> SimulatedOutput:
    """Open `simulated://`; raises OutputError for an option, as it has none."""
    read_options(address, AddressOptions)
    return SimulatedOutput(address)
