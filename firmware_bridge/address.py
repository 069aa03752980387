"""Addresses of the line to the PLC, as they stand in a configuration.

serial:///dev/ttyTHS1?baud=115200
modbus-rtu:///dev/ttyUSB0?baud=19200&role=server&unit=1
modbus-tcp://0.0.0.0:502?allow=192.168.1.10&role=server&unit=1
s7://192.168.0.10:102?db=100&rack=0&slot=1
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from firmware_bridge.errors import AddressInvalid

_EXAMPLES = {
    "modbus-tcp": "modbus-tcp://0.0.0.0:502",
    "io-modbus-tcp": "io-modbus-tcp://192.168.1.20:502",
    "s7": "s7://192.168.0.10:102?db=100",
}
"""Kinds of link that run over a network."""


@dataclass(frozen=True)
class Address:
    """The parts of an address: kind of link, path of the device or host and port, options as text."""

    scheme: str
    path: str
    options: dict[str, str]
    host: str = ""
    port: int = 0


def parse_address(address: str, schemes: Mapping[str, tuple[str, ...]]) -> Address:
    """Read `address`, which must have one of the `schemes`, with no options but those listed there.

    Raises AddressInvalid.
    """
    parts = urlsplit(address)
    if parts.scheme not in schemes:
        known = ", ".join(f"{scheme}://" for scheme in schemes)
        raise AddressInvalid(f"{address!r}: found {parts.scheme or 'no scheme'!r}, expected one of {known}")
    host, port = _host_and_port(address) if parts.scheme in _EXAMPLES else ("", 0)
    if not host and (parts.netloc or not parts.path.startswith("/")):
        raise AddressInvalid(
            f"{address!r}: expected the full path of a device after three slashes, as in {parts.scheme}:///dev/ttyTHS1"
        )
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options, allowed = dict(pairs), schemes[parts.scheme]
    for name, _ in pairs:
        if name not in allowed or len(options) != len(pairs):
            raise AddressInvalid(f"{address!r}: option {name!r}, expected each of {', '.join(allowed)} at most once")
    return Address(parts.scheme, parts.path, options, host, port)


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number of 16 bits
        host, port = None, None
    if not host or port is None or parts.path.strip("/"):
        example = _EXAMPLES[parts.scheme]
        raise AddressInvalid(f"{address!r}: expected host and port after two slashes, as in {example}")
    return host, port


def whole_number(address: str, options: dict[str, str], name: str, default: int, allowed: range) -> int:
    """Return the option `name` as a number of `allowed`.

    Raises AddressInvalid.
    """
    found = options.get(name, str(default))
    if not found.isascii() or not found.isdigit() or int(found) not in allowed:
        raise AddressInvalid(
            f"{address!r}: {name}={found}, expected a whole number from {allowed.start} to {allowed[-1]}"
        )
    return int(found)


def one_of(address: str, options: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Return the option `name`, which must be one of `allowed`; the first of them is the default.

    Raises AddressInvalid.
    """
    found = options.get(name, allowed[0])
    if found not in allowed:
        raise AddressInvalid(f"{address!r}: {name}={found}, expected one of {', '.join(allowed)}")
    return found
