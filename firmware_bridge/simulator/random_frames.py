"""Random frames, good ones and bad ones, for holding two implementations against each other."""

from random import Random

from firmware_bridge.framed.frames import MAX_BODY, encode_frame
from firmware_bridge.layout import Layout, Wire
from firmware_bridge.messages import HEADER, KINDS


def random_stream(frames: int, random: Random) -> bytes:
    """Return a stream of frames: two thirds valid messages, malformed ones, damaged frames and noise between."""
    return b"".join(_frame(random) for _ in range(frames))


def _frame(random: Random) -> bytes:
    kind = KINDS[random.choice(list(KINDS))]
    body = bytes([kind.KIND]) + random.randbytes(HEADER.size - 1) + _payload(kind.LAYOUT, random)
    fate = random.random()
    if fate < 0.1:
        body = _altered(body, random)[:MAX_BODY]
    elif fate < 0.15:
        body = random.randbytes(random.randint(1, MAX_BODY))
    frame = encode_frame(body or b"\0")
    if fate > 0.9:
        frame = _altered(frame, random)
    elif fate > 0.85:
        frame += random.randbytes(random.randint(1, 200))
    return frame


def _payload(layout: Layout, random: Random) -> bytes:
    return b"".join(_field(wire, random) for wire in layout.fields.values())


def _field(wire: Wire, random: Random) -> bytes:
    """Return bytes that the field takes as a rule, and now and then just does not."""
    field = random.randbytes(wire.size)
    if wire.range.startswith("ASCII"):
        return bytes(random.choices(range(0x20, 0x7F), k=random.randint(0, wire.size))).ljust(wire.size, b"\0")
    if wire.format in ("B", "BB") and wire.check:
        value = random.randint(0, 6)
        return bytes([value, 0xFF ^ value][: wire.size])
    if wire.check.startswith("value <="):
        return random.randint(0, 10_001).to_bytes(wire.size, "little")
    return field


def _altered(data: bytes, random: Random) -> bytes:
    """Return `data` with a byte changed, taken away or put in."""
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(random.randint(0, 2)) + data[at + 1 :]
