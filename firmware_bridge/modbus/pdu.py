"""The Modbus functions of the register map and of input/output modules, as bytes without unit, checksum or header.

Source: MODBUS Application Protocol Specification V1.1b3, sections 6.2, 6.3, 6.4, 6.6, 6.11, 6.12 and 7.
"""

import struct
from collections.abc import Callable

READS = (3, 4)
READ_INPUTS, WRITE_COILS = 2, 15
WRITE_ONE, WRITE_MANY = 6, 16
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
ERROR = 0x80
"""Added to the function code of a request that is refused."""

_MOST_READ, _MOST_WRITTEN = 125, 123

Read = Callable[[range], list[int] | None]
"""Gives the registers of a range, None where one of them is outside of the map."""
Write = Callable[[int, list[int]], bool]
"""Takes registers from an address on; false, with nothing taken, where one of them may not be written."""


def answer(request: bytes, read: Read, write: Write) -> bytes:
    """Return the reply to a request."""
    function = request[0]
    if function in READS:
        return _answer_read(request, read)
    if function == WRITE_ONE:
        return _answer_write_one(request, write)
    if function == WRITE_MANY:
        return _answer_write_many(request, write)
    return refusal(function, ILLEGAL_FUNCTION)


def refusal(function: int, code: int) -> bytes:
    """Return the reply to a request that is refused."""
    return bytes([function | ERROR, code])


def _answer_read(request: bytes, read: Read) -> bytes:
    function = request[0]
    if len(request) != 5:
        return refusal(function, ILLEGAL_VALUE)
    address, count = struct.unpack(">HH", request[1:])
    if not 1 <= count <= _MOST_READ:
        return refusal(function, ILLEGAL_VALUE)
    words = read(range(address, address + count))
    if words is None:
        return refusal(function, ILLEGAL_ADDRESS)
    return struct.pack(f">BB{count}H", function, 2 * count, *words)


def _answer_write_one(request: bytes, write: Write) -> bytes:
    if len(request) != 5:
        return refusal(WRITE_ONE, ILLEGAL_VALUE)
    address, word = struct.unpack(">HH", request[1:])
    return request if write(address, [word]) else refusal(WRITE_ONE, ILLEGAL_ADDRESS)


def _answer_write_many(request: bytes, write: Write) -> bytes:
    if len(request) < 6:
        return refusal(WRITE_MANY, ILLEGAL_VALUE)
    address, count, size = struct.unpack(">HHB", request[1:6])
    if not 1 <= count <= _MOST_WRITTEN or size != 2 * count or len(request) != 6 + size:
        return refusal(WRITE_MANY, ILLEGAL_VALUE)
    words = list(struct.unpack(f">{count}H", request[6:]))
    return request[:5] if write(address, words) else refusal(WRITE_MANY, ILLEGAL_ADDRESS)


def read_request(address: int, count: int) -> bytes:
    """Return the request for `count` registers from `address` on."""
    return struct.pack(">BHH", READS[0], address, count)


def read_reply(reply: bytes, count: int) -> list[int] | None:
    """Return the registers of a reply, None where it is none to a request for `count` registers."""
    if len(reply) != 2 + 2 * count or reply[:2] != bytes([READS[0], 2 * count]):
        return None
    return list(struct.unpack(f">{count}H", reply[2:]))


def write_request(address: int, words: list[int]) -> bytes:
    """Return the request that writes `words` from `address` on."""
    return struct.pack(f">BHHB{len(words)}H", WRITE_MANY, address, len(words), 2 * len(words), *words)


def request_size(frame: bytes) -> int | None:
    """Return the size of the request at the start of `frame`; 0 if its start does not say it, None before it does."""
    return _size(
        frame, many=5, fixed={1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 8: 5, 7: 1, 11: 1, 12: 1, 17: 1, 22: 7}, at=(15, 16)
    )


def reply_size(frame: bytes) -> int | None:
    """Return the size of the reply at the start of `frame`, as `request_size`."""
    if frame[0] & ERROR:
        return 2
    return _size(frame, many=1, fixed={5: 5, 6: 5, 8: 5, 15: 5, 16: 5}, at=(1, 2, 3, 4))


def _size(frame: bytes, many: int, fixed: dict[int, int], at: tuple[int, ...]) -> int | None:
    """`at`: the functions whose byte `many` counts the bytes behind it."""
    if frame[0] in at:
        return many + 1 + frame[many] if len(frame) > many else None
    return fixed.get(frame[0], 0)


def read_bits_request(address: int, count: int) -> bytes:
    """Return the request for `count` discrete inputs from `address` on."""
    return struct.pack(">BHH", READ_INPUTS, address, count)


def read_bits_reply(reply: bytes, count: int) -> int | None:
    """Return the inputs of a reply, the first one as the lowest bit; None where it is none to such a request."""
    size = (count + 7) // 8
    if len(reply) != 2 + size or reply[:2] != bytes([READ_INPUTS, size]):
        return None
    return int.from_bytes(reply[2:], "little") & ((1 << count) - 1)


def write_bits_request(address: int, count: int, bits: int) -> bytes:
    """Return the request that writes `count` coils from `address` on, the lowest of `bits` first."""
    size = (count + 7) // 8
    return struct.pack(">BHHB", WRITE_COILS, address, count, size) + bits.to_bytes(size, "little")


def written_bits(request: bytes, count: int) -> int | None:
    """Return what a request writes to the first `count` coils; None where it is no such request."""
    if len(request) < 7 or request[:6] != write_bits_request(0, count, 0)[:6]:
        return None
    return int.from_bytes(request[6:], "little") & ((1 << count) - 1)


def answer_read_bits(request: bytes, bits: int) -> bytes:
    """Return the reply of a module whose first eight inputs are `bits`, to any request but the writing of its coils."""
    if request[0] != READ_INPUTS:
        return refusal(request[0], ILLEGAL_FUNCTION)
    if len(request) != 5:
        return refusal(READ_INPUTS, ILLEGAL_VALUE)
    address, count = struct.unpack(">HH", request[1:])
    if not count >= 1 or address + count > 8:
        return refusal(READ_INPUTS, ILLEGAL_ADDRESS)
    return bytes([READ_INPUTS, 1, bits >> address & ((1 << count) - 1)])
