"""Kinds of outputs by the scheme of their address, and the function that opens one."""

from collections.abc import Callable
from importlib import import_module

from edge.address import kind_of
from edge.ejector.output import Output
from edge.errors import OutputError

OUTPUTS = {
    "gpio": "edge.ejector.gpio:open_gpio",
    "serial": "edge.ejector.modem_line:open_modem_line",
    "simulated": "edge.ejector.output:open_simulated",
}
"""Module and function by scheme, imported when an output is opened. A new kind is one file and one line here."""


def open_output(address: str) -> Output:
    """Open an output by its address.

    `gpio:///dev/gpiochip0?line=105` is a GPIO line, `serial:///dev/ttyUSB1?pin=rts` a control line of a serial port,
    `simulated://` has no hardware. With `active=low` the output is low while the ejector fires. Raises OutputError.
    """
    kind = kind_of(address)
    if kind not in OUTPUTS:
        known = ", ".join(f"{name}://" for name in OUTPUTS)
        raise OutputError(
            f"ejector {address}: found the kind {kind or 'none'!r}, expected one of {known}; correct ejector.output"
        )
    module, _, function = OUTPUTS[kind].partition(":")
    opener: Callable[[str], Output] = getattr(import_module(module), function)
    return opener(address)
