"""The simulated ejector, which remembers its pulses."""

from collections.abc import Callable
from time import monotonic

from edge.address import AddressOptions
from edge.ejector.output import Output, read_options


class SimulatedOutput(Output):
    """An output without a wire."""

    def __init__(self, address: str = "simulated://", clock: Callable[[], float] = monotonic) -> None:
        super().__init__(address)
        self.switched: list[tuple[float, bool]] = []
        """When it was switched, in seconds of the clock, and whether on."""
        self.closed = False
        self._clock = clock

    @property
    def on(self) -> bool:
        """Whether it fires."""
        return bool(self.switched) and self.switched[-1][1]

    @property
    def pulses(self) -> int:
        """How often it has fired."""
        return sum(on for _, on in self.switched)

    def _set(self, on: bool) -> None:
        if on != self.on:
            self.switched.append((self._clock(), on))

    def close(self) -> None:
        """Note it."""
        self.closed = True


def open_here(address: str) -> SimulatedOutput:
    """Open `simulated://`."""
    read_options(address, AddressOptions)
    return SimulatedOutput(address)
