"""Errors of the line to the PLC.

BridgeError
├── FieldOutOfRange      ours: a value that has no place in its field (also a ValueError)
├── MessageMalformed     theirs: bytes with a good checksum that are no message
└── LinkError            the way to the peer
    ├── AddressInvalid   the address in the configuration cannot be read (also a ValueError)
    ├── PortMissing      no such device
    ├── PortInUse        another process holds the port
    ├── PortNotPermitted the user may not open the port
    ├── PortFailed       the device is there and refuses (wrong baud rate, not a terminal, input/output error)
    └── LinkClosed       used after `close()`
"""


class BridgeError(Exception):
    """Base class of all errors of this package."""


class FieldOutOfRange(BridgeError, ValueError):
    """A value outside the range of its field: a fault of the caller."""


class MessageMalformed(BridgeError):
    """Bytes that pass the checksum but are no message of this protocol version: a fault of the peer."""


class LinkError(BridgeError):
    """The port of a link cannot be opened or used."""


class AddressInvalid(LinkError, ValueError):
    """The address names no known kind of link, or an option that this kind lacks."""


class PortMissing(LinkError):
    """There is no such device: unplugged, or a misspelt name."""


class PortInUse(LinkError):
    """Another process holds the port (a console, ModemManager, a second inspection program)."""


class PortNotPermitted(LinkError):
    """The user lacks the right to open the port, as a rule the group `dialout`."""


class PortFailed(LinkError):
    """The device exists, but does not work as a serial port with these settings."""


class LinkClosed(LinkError):
    """The link was used after it had been closed."""
