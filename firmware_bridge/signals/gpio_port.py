"""GPIO lines as terminals, through the Linux character device; the only file that imports gpiod."""

import errno
from contextlib import suppress
from typing import Any

from firmware_bridge.address import Address, one_of
from firmware_bridge.errors import AddressInvalid, LinkError, PortFailed, PortInUse, PortMissing, PortNotPermitted
from firmware_bridge.signals.terminals import Terminal

LINES = ("trigger", *(terminal.name.lower() for terminal in Terminal if terminal.name))
"""Options that name a line by its number or its name: the input, then the outputs."""


class GpioPort:
    """See Port: what is read is the level of TRIGGER, one byte; what is written, the levels of the outputs."""

    def __init__(self, request: Any, lines: dict[str, int | str], active: Any, inactive: Any) -> None:
        """request: gpiod.LineRequest of all lines. lines: by the names of LINES. active, inactive: gpiod's values."""
        self._request, self._lines, self._active, self._inactive = request, lines, active, inactive

    def read(self, timeout_s: float) -> bytes:
        """Wait for an edge of TRIGGER for at most `timeout_s`; give its level."""
        if self._request.wait_edge_events(timeout_s):
            self._request.read_edge_events()
        return bytes([self._request.get_value(self._lines["trigger"]) == self._active])

    def write(self, data: bytes) -> None:
        """Set all outputs in one call of the kernel."""
        levels = data[-1]
        self._request.set_values(
            {
                self._lines[name]: self._active if levels & Terminal[name.upper()] else self._inactive
                for name in LINES[1:]
            }
        )

    def close(self) -> None:
        """Switch the outputs off, since some chips keep the level of a line that is given back."""
        with suppress(OSError):
            self.write(b"\0")
        self._request.release()


def lines_of(address: str, options: dict[str, str]) -> dict[str, int | str]:
    """Return the lines that an address names.

    Raises AddressInvalid where one is missing or named twice.
    """
    if missing := [name for name in LINES if not options.get(name)]:
        found = f"found no {', '.join(missing)}, expected the number or name of each line"
        raise AddressInvalid(f"{address!r}: {found}, as in trigger=17; `gpioinfo` lists them")
    lines: dict[str, int | str] = {
        name: int(options[name]) if options[name].isdecimal() else options[name] for name in LINES
    }
    if len(set(lines.values())) < len(lines):
        raise AddressInvalid(f"{address!r}: found a line that is named twice, expected {len(LINES)} different ones")
    return lines


def open_gpio_port(address: str, parts: Address) -> GpioPort:
    """Open the lines with every output off.

    Raises AddressInvalid or another LinkError.
    """
    lines = lines_of(address, parts.options)
    low, trigger_low = (
        one_of(address, parts.options, name, ("high", "low")) == "low" for name in ("active", "trigger_active")
    )
    try:
        import gpiod
        from gpiod.line import Direction, Edge, Value
    except ImportError:
        raise PortFailed(f"{address}: found no gpiod, expected version 2; pip install 'edge-inspect[gpio]'") from None
    output = gpiod.LineSettings(direction=Direction.OUTPUT, active_low=low, output_value=Value.INACTIVE)
    trigger = gpiod.LineSettings(direction=Direction.INPUT, active_low=trigger_low, edge_detection=Edge.BOTH)
    config: dict[Any, Any] = {line: trigger if name == "trigger" else output for name, line in lines.items()}
    try:
        request = gpiod.request_lines(parts.path, config=config, consumer="edge-inspect PLC")
    except (OSError, ValueError) as error:
        raise explain(parts.path, error) from None
    return GpioPort(request, lines, Value.ACTIVE, Value.INACTIVE)


def explain(path: str, error: Exception) -> LinkError:
    """Return the BridgeError with the remedy for an error of the operating system."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENOTTY):
        return PortMissing(f"{path} is no GPIO chip, expected one of those that `gpiodetect` lists")
    if number in (errno.EACCES, errno.EPERM):
        return PortNotPermitted(f"{path}: not permitted; `sudo usermod -aG gpio $USER`, then log in again")
    if number == errno.EBUSY:
        return PortInUse(f"{path}: one of its lines is in use by another program; `gpioinfo` names it")
    return PortFailed(f"{path}: {error}; `gpioinfo` lists its lines")
