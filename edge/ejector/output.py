"""The wire to the ejector: something that is on or off."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Literal, TypeVar

from pydantic import Field

from edge.address import AddressOptions, kind_of, parse_options
from edge.errors import OutputError

FILES = {"gpio": "gpio", "serial": "modem_line", "simulated": "simulated"}
"""File in this folder by the kind in the address; each has `open_here`."""

Chosen = TypeVar("Chosen", bound=AddressOptions)


class OutputOptions(AddressOptions):
    """Options of every output."""

    active: Literal["high", "low"] = Field(default="high", description="level of the wire while the ejector fires")


class Output(ABC):
    """One opened output, off at first; used by one thread."""

    def __init__(self, address: str) -> None:
        self.address = address

    def set(self, on: bool) -> None:
        """Fire, or stop firing; raises OutputError where the wire cannot be moved, and may be called again."""
        try:
            self._set(on)
        except OSError as error:
            raise OutputError(
                f"ejector {self.address}: cannot be switched {'on' if on else 'off'} ({error}); check the device"
            ) from None

    @abstractmethod
    def _set(self, on: bool) -> None:
        """Move the wire; raises OSError."""

    @abstractmethod
    def close(self) -> None:
        """Give the wire back; what becomes of its level is the device's choice."""


def open_output(address: str) -> Output:
    """Open an output by its address.

    `gpio:///dev/gpiochip0?line=105` is a pin of the computer, `serial:///dev/ttyUSB1?pin=rts` a control line of a
    serial port, `simulated://` none at all. With `active=low` the wire is low while the ejector fires.

    Raises OutputError.
    """
    kind = kind_of(address)
    if kind not in FILES:
        known = ", ".join(f"{name}://" for name in FILES)
        raise OutputError(f"ejector {address}: found the kind {kind or 'none'!r}, expected one of {known}")
    opened: Callable[[str], Output] = import_module(f"edge.ejector.{FILES[kind]}").open_here
    return opened(address)


def read_options(address: str, model: type[Chosen]) -> Chosen:
    """Read what stands behind the `?`; raises OutputError with option, found and expected."""
    try:
        return parse_options(address, model)
    except ValueError as error:
        raise OutputError(f"ejector {address}: {error}") from None
