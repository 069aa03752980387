"""A GPIO chip in memory: one side as gpiod lends its lines, the other as the port of a simulated PLC."""

import threading

from firmware_bridge.signals.gpio_port import LINES, GpioPort
from firmware_bridge.signals.terminals import TRIGGER, Terminal


class SimulatedChip:
    """Seven wires. At the PLC, a wire in `cut` carries no level, one in `stuck` 24 V for ever."""

    def __init__(self) -> None:
        """Begin with every level off."""
        self.cut = self.stuck = Terminal(0)
        self.trigger_cut = False
        self._outputs = self._trigger = 0
        self._changed = threading.Condition()
        self._seen = {"station": 0, "plc": 0}
        self._edges = {"station": 0, "plc": 0}

    def open_station(self) -> GpioPort:
        """Return the station's port."""
        return GpioPort(SimulatedLines(self), {name: name for name in LINES}, True, False)

    def open_plc(self) -> "ChipPort":
        """Return the PLC's port."""
        return ChipPort(self)

    @property
    def trigger(self) -> bool:
        """Level of TRIGGER at the station."""
        return bool(self._trigger) and not self.trigger_cut

    @property
    def outputs(self) -> int:
        """Levels of the outputs at the PLC."""
        return self._outputs & ~self.cut | self.stuck

    def set_outputs(self, levels: int) -> None:
        """Set the station's outputs."""
        with self._changed:
            if levels != self._outputs:
                self._outputs = levels
                self._edges["plc"] += 1
                self._changed.notify_all()

    def set_trigger(self, on: bool) -> None:
        """Set the PLC's output."""
        with self._changed:
            if on != bool(self._trigger):
                self._trigger = int(on)
                self._edges["station"] += 1
                self._changed.notify_all()

    def wait(self, side: str, timeout_s: float) -> bool:
        """Wait for a change of what `side` sees; true if there was one since the last call."""
        with self._changed:
            changed = self._changed.wait_for(lambda: self._edges[side] != self._seen[side], timeout_s)
            self._seen[side] = self._edges[side]
            return changed


class SimulatedLines:
    """The part of gpiod.LineRequest that is used; values are True and False, lines their names."""

    def __init__(self, chip: SimulatedChip) -> None:
        """Request all lines."""
        self._chip, self.released = chip, False

    def wait_edge_events(self, timeout_s: float) -> bool:
        """Wait for an edge of TRIGGER."""
        return self._chip.wait("station", timeout_s)

    def read_edge_events(self) -> list[object]:
        """Return no events: only the level is used."""
        return []

    def get_value(self, line: str) -> bool:
        """Return the level of TRIGGER."""
        return self._chip.trigger

    def set_values(self, values: dict[str, bool]) -> None:
        """Set the outputs."""
        self._chip.set_outputs(sum(Terminal[name.upper()] for name, on in values.items() if on))

    def release(self) -> None:
        """Release the lines; their levels stay, as on some chips."""
        self.released = True


class ChipPort:
    """See Port: what is read are the levels of the station's outputs, what is written is TRIGGER."""

    def __init__(self, chip: SimulatedChip) -> None:
        """Join the PLC's side."""
        self._chip = chip

    def read(self, timeout_s: float) -> bytes:
        """Wait for a change for at most `timeout_s`; give the levels."""
        self._chip.wait("plc", timeout_s)
        return bytes([self._chip.outputs])

    def write(self, data: bytes) -> None:
        """Set TRIGGER."""
        self._chip.set_trigger(bool(data[-1] & TRIGGER))

    def close(self) -> None:
        """Let TRIGGER fall."""
        self._chip.set_trigger(False)
