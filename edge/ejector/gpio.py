"""A pin of the computer, through the Linux GPIO character device; the only file that touches gpiod."""

import errno
from typing import Any

from pydantic import Field

from edge.address import place_of
from edge.ejector.output import Output, OutputOptions, read_options
from edge.errors import OutputError


class GpioOptions(OutputOptions):
    """Options of `gpio://`."""

    line: str = Field(min_length=1, description="number of the line in its chip, or its name; `gpioinfo` lists them")


class GpioOutput(Output):
    """A line that the kernel has lent us."""

    def __init__(self, address: str, request: Any, line: int | str, active: Any, inactive: Any) -> None:
        """`request` is a gpiod.LineRequest of one line; `active` and `inactive` are the library's values."""
        super().__init__(address)
        self._request, self._line, self._active, self._inactive = request, line, active, inactive

    def _set(self, on: bool) -> None:
        self._request.set_value(self._line, self._active if on else self._inactive)

    def close(self) -> None:
        """Give the line back; most chips then make an input of it."""
        self._request.release()


def open_here(address: str) -> GpioOutput:
    """Open `gpio:///dev/gpiochip0?line=105&active=low`, inactive; raises OutputError."""
    options, path = read_options(address, GpioOptions), place_of(address)
    line = int(options.line) if options.line.isdecimal() else options.line
    try:
        import gpiod
        from gpiod.line import Direction, Value
    except ImportError:
        raise OutputError(f"ejector {address}: found no gpiod, expected version 2; pip install 'gpiod>=2.1'") from None
    settings = gpiod.LineSettings(
        direction=Direction.OUTPUT, active_low=options.active == "low", output_value=Value.INACTIVE
    )
    try:
        request = gpiod.request_lines(path, config={line: settings}, consumer="edge-inspect ejector")
    except (OSError, ValueError) as error:
        raise OutputError(f"ejector {address}: {explain(path, options.line, error)}") from None
    return GpioOutput(address, request, line, Value.ACTIVE, Value.INACTIVE)


def explain(path: str, line: str, error: Exception) -> str:
    """Say what the technician can do about an error of the kernel's."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENOTTY):
        return f"{path} is no GPIO chip, expected one of those that `gpiodetect` lists"
    if number in (errno.EACCES, errno.EPERM):
        return f"{path}: not permitted; `sudo usermod -aG gpio $USER`, then log in again"
    if number == errno.EBUSY:
        return f"line {line}: in use by another program; `gpioinfo` names it"
    return f"line {line} of {path}: {error}; `gpioinfo` lists the lines"
