"""Payloads of Sparkplug B 3.0 in the wire format of Protocol Buffers, as far as this client writes and reads them.

Sparkplug 3.0.0, section 6.4 and the schema in 16.1 (org.eclipse.tahu.protobuf.Payload); the wire format of
https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from edge.errors import ServerError

Value = int | float | bool | str | None


class DataType(IntEnum):
    """Data types of metrics, 6.4.16."""

    INT64 = 4
    UINT64 = 8
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


@dataclass(frozen=True)
class Metric:
    """One metric of a payload."""

    name: str
    kind: DataType
    value: Value
    timestamp_ms: int
    """UTC, since 1970."""
    historical: bool = False
    """Whether it is the value of an earlier time, sent after an outage."""


def encode(timestamp_ms: int, metrics: Iterable[Metric], sequence: int | None) -> bytes:
    """Encode a payload; `sequence` is None for NDEATH."""
    payload = _varint_field(1, timestamp_ms) + b"".join(_bytes_field(2, _metric(metric)) for metric in metrics)
    return payload + (b"" if sequence is None else _varint_field(3, sequence))


def decode_booleans(payload: bytes) -> dict[str, bool]:
    """Return the boolean metrics of a payload by name; raises ServerError for bytes that are no payload."""
    found: dict[str, bool] = {}
    for number, content in _fields(payload):
        if number == 2 and isinstance(content, bytes):
            fields = dict(_fields(content))
            name, value = fields.get(1), fields.get(14)
            if isinstance(name, bytes) and isinstance(value, int):
                found[name.decode("utf-8", "replace")] = bool(value)
    return found


def _metric(metric: Metric) -> bytes:
    fields = _bytes_field(1, metric.name.encode()) + _varint_field(3, metric.timestamp_ms)
    fields += _varint_field(4, metric.kind)
    if metric.historical:
        fields += _varint_field(5, 1)
    if metric.value is None:
        return fields + _varint_field(7, 1)
    if metric.kind is DataType.DOUBLE:
        return fields + _tag(13, 1) + struct.pack("<d", float(metric.value))
    if metric.kind is DataType.STRING:
        return fields + _bytes_field(15, str(metric.value).encode("utf-8", "replace"))
    number = {DataType.INT64: 11, DataType.UINT64: 11, DataType.BOOLEAN: 14}[metric.kind]
    return fields + _varint_field(number, int(metric.value) & 0xFFFF_FFFF_FFFF_FFFF)


def _varint_field(number: int, value: int) -> bytes:
    return _tag(number, 0) + _varint(value)


def _bytes_field(number: int, content: bytes) -> bytes:
    return _tag(number, 2) + _varint(len(content)) + content


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and content of each field; groups, which are deprecated, are refused."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        size, at = (_read_varint(data, at)) if wire_type == 2 else ({1: 8, 5: 4}.get(wire_type, -1), at)
        if size < 0 or at + size > len(data):
            raise ServerError(f"Sparkplug payload: found {len(data)} bytes that are none, expected Sparkplug B")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ServerError("Sparkplug payload: found an incomplete number, expected Sparkplug B")
