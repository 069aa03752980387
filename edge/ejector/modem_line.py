"""Output on a control line of a serial port (RTS or DTR); the only file of edge that imports pyserial."""

import termios
from typing import Any, Literal

from pydantic import Field

from edge.address import place_of
from edge.ejector.output import Output, OutputOptions, read_options
from edge.errors import OutputError


class ModemLineOptions(OutputOptions):
    """Options of `serial://`. High is +3 to +15 V at RS-232 levels, and low on the logic pins of an adapter."""

    pin: Literal["rts", "dtr"] = Field(default="rts", description="the control line")


class ModemLineOutput(Output):
    """One control line of a port without any other use."""

    def __init__(self, address: str, port: Any, options: ModemLineOptions) -> None:
        """port: unopened serial.Serial, so that both lines keep their level until the output is switched."""
        super().__init__(address)
        self._port, self._pin, self._low = port, options.pin, options.active == "low"
        port.rts = port.dtr = self._low
        try:
            port.open()
            self._set(False)
        except (OSError, termios.error) as error:  # pyserial lets the latter through, and it is no OSError
            port.close()
            raise OutputError(
                f"ejector {address}: {error}; expected a serial port with control lines, which `ls /dev/tty*` shows"
            ) from None

    def _set(self, on: bool) -> None:
        setattr(self._port, self._pin, on is not self._low)

    def close(self) -> None:
        """Close the port; the driver then lowers both lines."""
        self._port.close()


def open_modem_line(address: str) -> ModemLineOutput:
    """Open `serial:///dev/ttyUSB1?pin=rts`; raises OutputError."""
    import serial

    options = read_options(address, ModemLineOptions)
    port = serial.Serial(exclusive=True)
    port.port = place_of(address)
    return ModemLineOutput(address, port, options)
