"""Layout of a message's fields on the wire: little-endian, packed, no padding.

A message class is its own table. Each annotation names the Python type and the `Wire` that carries it, and from these
annotations come the encoder, the decoder, the range check, the tables of PROTOCOL.md, and the C header.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, get_type_hints

from firmware_bridge.errors import FieldOutOfRange, MessageMalformed

SCORE_STEPS = 10_000
"""A score of 1.0 is this number on the wire, so that a PLC needs no floating point."""

COUNTS_LIMIT = 2**30
"""Longest distance in encoder counts: two of them still compare rightly across the roll-over of 32 bits."""


@dataclass(frozen=True)
class Wire:
    """One field's encoding.

    `pack` gives the numbers or bytes that `format` (codes of the struct module) takes, `unpack` turns them back; both
    raise ValueError, TypeError or OverflowError for what `range` does not allow. `check` is the same condition in C,
    over a `value` that has been read already; empty where any value goes.
    """

    format: str
    range: str
    pack: Callable[[Any], tuple[Any, ...]]
    unpack: Callable[..., Any]
    check: str = ""

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return struct.calcsize("<" + self.format)


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


def unsigned(code: str, least: int = 0, most: int | None = None) -> Wire:
    """An unsigned integer from `least` to `most`, as wide as the struct code `B`, `H` or `I`."""
    widest = 256 ** struct.calcsize("<" + code) - 1
    limit = widest if most is None else most

    def pack(value: int) -> tuple[int]:
        _require(least <= value <= limit)
        return (value,)

    def unpack(value: int) -> int:
        _require(least <= value <= limit)
        return value

    checks = [f"value >= {least}"] * (least > 0) + [f"value <= {limit}"] * (limit < widest)
    return Wire(code, f"{least} to {limit}", pack, unpack, " && ".join(checks))


def bits(code: str, names: dict[str, int]) -> Wire:
    """Return an unsigned integer whose bits have names; a bit without one, of a later version, is let through."""
    plain = unsigned(code)
    places = sorted((bit.bit_length() - 1, name) for name, bit in names.items())
    return Wire(code, "bit " + ", ".join(f"{place} {name}" for place, name in places), plain.pack, plain.unpack)


def text(length: int) -> Wire:
    """Return printable ASCII of at most `length` characters, filled with NUL."""

    def pack(value: str) -> tuple[bytes]:
        data = value.encode("ascii")
        _require(len(data) <= length and value.isprintable())
        return (data,)

    def unpack(data: bytes) -> str:
        value = data.rstrip(b"\0").decode("ascii")
        _require(value.isprintable())
        return value

    check = f"ei_is_text(value, {length})"
    return Wire(f"{length}s", f"ASCII, at most {length} characters", pack, unpack, check)


def digest(length: int) -> Wire:
    """Return a hash of `length` bytes, in Python as lower-case hexadecimal digits, empty for none (all zero)."""

    def pack(value: str) -> tuple[bytes]:
        data = bytes.fromhex(value)
        _require(len(data) in (0, length) and value == data.hex())
        return (data,)

    def unpack(data: bytes) -> str:
        return data.hex() if any(data) else ""

    return Wire(f"{length}s", f"{2 * length} hexadecimal digits or none", pack, unpack)


def choice(options: type[IntEnum]) -> Wire:
    """Return one byte that must be a member of `options`."""
    names = ", ".join(f"{option.value} {option.name}" for option in options)
    check = " || ".join(f"value == {option.value}" for option in options)
    return Wire("B", names, lambda value: (options(value).value,), options, check)


def choice_with_complement(options: type[IntEnum]) -> Wire:
    """Return a byte of `options`, then the same byte inverted: neither can turn into another verdict unseen."""

    def unpack(value: int, complement: int) -> IntEnum:
        _require(value ^ complement == 0xFF)
        return options(value)

    plain = choice(options)

    def pack(value: int) -> tuple[int, int]:
        return options(value).value, 0xFF ^ value

    return Wire("BB", f"{plain.range}; then inverted", pack, unpack, plain.check)


def _pack_score(value: float) -> tuple[int]:
    _require(0.0 <= value <= 1.0)
    return (round(value * SCORE_STEPS),)


def _unpack_score(steps: int) -> float:
    _require(steps <= SCORE_STEPS)
    return steps / SCORE_STEPS


def _pack_box(box: tuple[int, int, int, int]) -> tuple[int, ...]:
    _require(len(box) == 4 and all(0 <= side <= 0xFFFF for side in box))
    return tuple(box)


U8 = Annotated[int, unsigned("B")]
U16 = Annotated[int, unsigned("H")]
U32 = Annotated[int, unsigned("I")]
Counts = Annotated[int, unsigned("I", least=1, most=COUNTS_LIMIT)]
CountsOrNone = Annotated[int, unsigned("I", most=COUNTS_LIMIT)]
Score = Annotated[
    float,
    Wire("H", f"0.0 to 1.0, times {SCORE_STEPS}", _pack_score, _unpack_score, f"value <= {SCORE_STEPS}"),
]
Box = Annotated[tuple[int, int, int, int], Wire("HHHH", "x, y, width, height", _pack_box, lambda *sides: tuple(sides))]
Text16 = Annotated[str, text(16)]
Text32 = Annotated[str, text(32)]
Sha256 = Annotated[str, digest(32)]
ShortId = Annotated[str, digest(4)]


class Layout:
    """The fields of one message class in the order of the wire."""

    def __init__(self, owner: type) -> None:
        """Read the table from the annotations of `owner`."""
        hints = get_type_hints(owner, include_extras=True)
        self._name = owner.__name__
        self.fields: dict[str, Wire] = {
            name: wire
            for name, hint in hints.items()
            for wire in getattr(hint, "__metadata__", ())
            if isinstance(wire, Wire)
        }
        self._struct = struct.Struct("<" + "".join(wire.format for wire in self.fields.values()))
        self.size = self._struct.size

    def pack(self, message: object) -> bytes:
        """Return the payload of `message`.

        Raises FieldOutOfRange for the first value that does not fit.
        """
        parts: list[Any] = []
        for name, wire in self.fields.items():
            value = getattr(message, name)
            try:
                parts.extend(wire.pack(value))
            except (ValueError, TypeError, OverflowError) as error:
                raise FieldOutOfRange(f"{self._name}.{name} is {value!r}; the field takes {wire.range}") from error
        return self._struct.pack(*parts)

    def unpack(self, payload: bytes) -> dict[str, Any]:
        """Return the fields by name.

        Raises MessageMalformed for a wrong length or a value outside of its range.
        """
        if len(payload) != self.size:
            raise MessageMalformed(f"{self._name} has {len(payload)} bytes, expected {self.size}")
        values = self._struct.unpack(payload)
        fields: dict[str, Any] = {}
        for name, wire in self.fields.items():
            count = len(wire.format.strip("0123456789"))
            taken, values = values[:count], values[count:]
            try:
                fields[name] = wire.unpack(*taken)
            except ValueError as error:
                raise MessageMalformed(f"{self._name}.{name} is {taken!r}; the field takes {wire.range}") from error
        return fields
