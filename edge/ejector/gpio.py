"""GPIO output through the Linux GPIO character device; the only file that imports gpiod."""

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
    """GPIO line requested from the kernel."""

    def __init__(self, address: str, request: Any, line: int | str, active: Any, inactive: Any) -> None:
        """request: gpiod.LineRequest of one line. active, inactive: gpiod's values."""
        super().__init__(address)
        self._request, self._line, self._active, self._inactive = request, line, active, inactive

    def _set(self, on: bool) -> None:
        self._request.set_value(self._line, self._active if on else self._inactive)

    def close(self) -> None:
        """Release the line; most chips then make it an input."""
        self._request.release()


def open_gpio(address: str) -> GpioOutput:
    """Open `gpio:///dev/gpiochip0?line=105&active=low`, inactive; raises OutputError."""
    options, path = read_options(address, GpioOptions), place_of(address)
    line = int(options.line) if options.line.isdecimal() else options.line
    try:
        import gpiod
        from gpiod.line import Value
    except ImportError:
        raise OutputError(f"ejector {address}: found no gpiod, expected version 2; pip install 'gpiod>=2.1'") from None
    try:
        request = gpiod.request_lines(path, config={line: line_settings(options)}, consumer="edge-inspect ejector")
    except (OSError, ValueError) as error:
        raise OutputError(f"ejector {address}: {explain(path, options.line, error)}") from None
    return GpioOutput(address, request, line, Value.ACTIVE, Value.INACTIVE)


def line_settings(options: GpioOptions) -> Any:
    """Return the gpiod.LineSettings of an output that is inactive when it is requested."""
    from gpiod import LineSettings
    from gpiod.line import Direction, Value

    return LineSettings(direction=Direction.OUTPUT, active_low=options.active == "low", output_value=Value.INACTIVE)


def explain(path: str, line: str, error: Exception) -> str:
    """Return the cause and remedy of an error of the kernel."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENOTTY):
        return f"{path} is no GPIO chip, expected one of those that `gpiodetect` lists"
    if number in (errno.EACCES, errno.EPERM):
        return f"{path}: not permitted; `sudo usermod -aG gpio $USER`, then log in again"
    if number == errno.EBUSY:
        return f"line {line}: in use by another program; `gpioinfo` names it"
    return f"line {line} of {path}: {error}; `gpioinfo` lists the lines"
