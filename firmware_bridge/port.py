"""A serial port: the only file that touches pyserial."""

import errno
import select
import termios
from collections.abc import Callable
from typing import Any, Protocol

from firmware_bridge.errors import LinkError, PortFailed, PortInUse, PortMissing, PortNotPermitted

BAUD_DEFAULT = 115_200
BAUD_RANGE = range(1_200, 4_000_001)


class Port(Protocol):
    """A stream of bytes both ways; every method raises OSError once the device is gone."""

    def read(self, timeout_s: float) -> bytes:
        """Wait at most `timeout_s` for bytes; returns those that have arrived, possibly none."""

    def write(self, data: bytes) -> None:
        """Write all of `data` or raise; TimeoutError where the driver does not take it in time."""

    def close(self) -> None:
        """Release the device; may be called twice."""


class SerialPort:
    """A serial port of this machine, locked against other programs, in raw mode with eight data bits.

    Raises PortMissing, PortInUse, PortNotPermitted or PortFailed when it is opened. `low_latency` tells whether the
    driver gives bytes up at once; many adapters otherwise hold them for 16 ms.
    """

    def __init__(
        self,
        path: str,
        baud: int,
        write_timeout_s: float,
        parity: str = "N",
        stop_bits: int = 1,
        driver: Callable[..., Any] | None = None,
    ) -> None:
        """Open `path` and drop what its driver still holds from earlier; `driver` is pyserial's class."""
        import serial

        self._write_timeout_error = serial.SerialTimeoutException
        try:
            self._port = (driver or serial.Serial)(
                path,
                baud,
                parity=parity,
                stopbits=stop_bits,
                timeout=0,
                write_timeout=write_timeout_s,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:
            raise explain(path, baud, error) from error
        try:
            self.low_latency = self._ask_for_low_latency()
            self._port.reset_input_buffer()
        except (OSError, termios.error) as error:  # unplugged between the opening and here
            self._port.close()
            raise explain(path, baud, error) from error

    def _ask_for_low_latency(self) -> bool:
        try:
            self._port.set_low_latency_mode(True)
        except (OSError, ValueError, NotImplementedError, AttributeError, termios.error):
            return False
        return True

    def read(self, timeout_s: float) -> bytes:
        """See Port."""
        try:
            readable, _, _ = select.select([self._port.fileno()], [], [], timeout_s)
            return bytes(self._port.read(4096)) if readable else b""
        except termios.error as error:
            raise OSError(*error.args) from error

    def write(self, data: bytes) -> None:
        """See Port."""
        try:
            self._port.write(data)
        except self._write_timeout_error as error:
            raise TimeoutError(str(error)) from error
        except termios.error as error:
            raise OSError(*error.args) from error

    def close(self) -> None:
        """See Port."""
        self._port.close()


def explain(path: str, baud: int, error: Exception) -> LinkError:
    """Return the BridgeError with the remedy for an error of the operating system."""
    number = error.args[0] if isinstance(error, termios.error) and error.args else getattr(error, "errno", None)
    if number == errno.ENOENT:
        return PortMissing(f"{path}: no such port; plug the adapter in, or name one of those that `ls /dev/tty*` shows")
    if number in (errno.EAGAIN, errno.EBUSY):
        return PortInUse(f"{path}: in use by another program; `fuser {path}` names it; close it and start again")
    if number in (errno.EACCES, errno.EPERM):
        return PortNotPermitted(f"{path}: not permitted; `sudo usermod -aG dialout $USER`, then log in again")
    return PortFailed(f"{path}: does not open as a serial port at {baud} baud: {error}")
