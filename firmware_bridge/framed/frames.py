"""Frames on a byte stream: a zero byte, COBS of (body + CRC-32), a zero byte.

COBS (Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999) leaves no zero in the text, so that a zero is
always the edge of a frame and the receiver is in step again at the next one, whatever came before. The checksum is the
CRC-32 of IEEE 802.3 (zlib), appended little-endian. The leading zero parts a frame from noise on an idle line.
"""

import zlib
from dataclasses import dataclass, field

from cobs import cobs

MAX_BODY = 128
"""Longest body in bytes; a C peer sets aside one buffer of this size. COBS then adds one byte."""

CRC_SIZE = 4
_MAX_STUFFED = MAX_BODY + CRC_SIZE + 1
DELIMITER = b"\0"


def encode_frame(body: bytes) -> bytes:
    """Return the bytes of one frame for `body` (1 to MAX_BODY bytes)."""
    if not 1 <= len(body) <= MAX_BODY:
        raise ValueError(f"a frame's body has 1 to {MAX_BODY} bytes, not {len(body)}")
    checked = body + zlib.crc32(body).to_bytes(CRC_SIZE, "little")
    stuffed: bytes = cobs.encode(checked)
    return DELIMITER + stuffed + DELIMITER


def decode_frame(stuffed: bytes) -> bytes | None:
    """Return the body between two delimiters, or None where it is damaged."""
    if len(stuffed) > _MAX_STUFFED:
        return None
    try:
        checked: bytes = cobs.decode(stuffed)
    except cobs.DecodeError:
        return None
    body, crc = checked[:-CRC_SIZE], checked[-CRC_SIZE:]
    return body if body and zlib.crc32(body) == int.from_bytes(crc, "little") else None


@dataclass
class FrameDecoder:
    """Finds frames in bytes as they come, in pieces of any size.

    Holds at most one frame; what is too long for a frame is dropped up to the next delimiter and counted as damaged.
    """

    good: int = 0
    damaged: int = 0
    _text: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that `data` completes."""
        *ended, rest = data.split(DELIMITER)
        bodies = [body for piece in ended if (body := self._end(piece))]
        self._append(rest)
        return bodies

    def _append(self, piece: bytes) -> None:
        self._text += piece[: _MAX_STUFFED + 1 - len(self._text)]

    def _end(self, piece: bytes) -> bytes | None:
        self._append(piece)
        stuffed = bytes(self._text)
        self._text.clear()
        if not stuffed:
            return None
        body = decode_frame(stuffed)
        if body is None:
            self.damaged += 1
        else:
            self.good += 1
        return body
