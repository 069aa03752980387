"""Strict JPEG decoding: what libjpeg would repair with a warning is refused."""

from collections.abc import Iterator

import numpy as np
import simplejpeg
from numpy.typing import NDArray

MARK = b"\xff\xd8"
"""SOI, ITU-T T.81, table B.1."""

_PROGRESSIVE = 0xC2
_START_OF_SCAN = 0xDA
_APP0, _APP1 = 0xE0, 0xE1
_COMMENT = 0xFE
_DRAWING = b"edge-inspect drawing"
"""Comment of a picture with drawn outlines; readers of pictures refuse it."""
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
_COEFFICIENTS = 64


def decode_jpeg(content: bytes, most_pixels: int) -> NDArray[np.uint8]:
    """Decode uint8 [H, W] grey or [H, W, 3] RGB, not turned by its EXIF mark.

    Raises ValueError for everything that libjpeg warns of: missing or extra data, restart markers out of their order,
    and for a progressive picture whose last scans are missing, of which libjpeg does not warn.
    """
    _check_scans(content)
    height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    if height * width > most_pixels:
        raise ValueError(f"{width}x{height} pixels, expected at most {most_pixels} in all")
    if space not in ("Gray", "YCbCr", "RGB"):
        raise ValueError(f"the colour space {space}, expected grey or RGB")
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "GRAY" if space == "Gray" else "RGB", strict=True)
    return pixels[..., 0] if space == "Gray" else pixels


def luminance(content: bytes) -> NDArray[np.uint8]:
    """The Y channel of a picture that `decode_jpeg` accepts, uint8 [H, W]."""
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "GRAY", strict=True)
    return pixels[..., 0]


def exif_block(content: bytes) -> bytes:
    """The TIFF structure of the EXIF segment; empty if there is none (CIPA DC-008, 4.5.4)."""
    for marker, segment in _segments(content):
        if marker == _APP1 and segment.startswith(b"Exif\0\0"):
            return segment[6:]
    return b""


def mark_drawing(content: bytes) -> bytes:
    """Mark a JPEG file as a drawing of this program, by a comment (ITU-T T.81, B.2.4.5) behind JFIF's APP0."""
    if not content.startswith(MARK):
        raise ValueError("found no JPEG, expected one to mark as a drawing")
    at = len(MARK)
    if content[at + 1] == _APP0:  # comes first (ITU-T T.871, 10.1)
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return content[:at] + bytes((0xFF, _COMMENT)) + (len(_DRAWING) + 2).to_bytes(2, "big") + _DRAWING + content[at:]


def is_drawing(content: bytes) -> bool:
    """Whether a JPEG file is marked as a drawing."""
    for marker, segment in _segments(content):
        if marker == _START_OF_SCAN:
            return False
        if marker == _COMMENT and segment == _DRAWING:
            return True
    return False


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker segments up to the end; entropy-coded data are passed over (ITU-T T.81, B.1.1)."""
    at = 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        marker = content[at + 1]
        if marker in (0x00, 0xFF) or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        yield marker, content[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _check_scans(content: bytes) -> None:
    """Raise ValueError unless each coefficient of a progressive picture comes to its last bit (ITU-T T.81, G.1.1)."""
    missing: set[tuple[int, int]] = set()
    for marker, segment in _segments(content):
        if marker == _PROGRESSIVE:
            components = [segment[6 + 3 * index] for index in range(segment[5])]
            missing = {(name, place) for name in components for place in range(_COEFFICIENTS)}
        elif marker == _START_OF_SCAN and missing:
            components = [segment[1 + 2 * index] for index in range(segment[0])]
            first, last, bits = segment[1 + 2 * segment[0] : 4 + 2 * segment[0]]
            if bits & 0x0F == 0:  # Al, the bits that are still to come
                missing -= {(name, place) for name in components for place in range(first, last + 1)}
    if missing:
        raise ValueError(f"{len(missing)} coefficients without their last scan")
