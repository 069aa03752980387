"""Structure of a PNG file, checked before it is decoded (W3C, Portable Network Graphics, third edition)."""

import zlib
from dataclasses import dataclass

MARK = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Per colour type: grey, RGB, palette, grey with alpha, RGB with alpha (table 12.1)."""
PALETTE = 3
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, column step, row step of each pass (8.1)."""


@dataclass(frozen=True)
class PngHeader:
    """Pixel format from the header of a PNG file."""

    colour_type: int
    bits: int
    """Per sample."""
    palette: bytes
    """Three bytes per entry; empty without a palette."""
    exif: bytes
    """The TIFF structure of the eXIf chunk; empty without one."""


def check_png(content: bytes, most_pixels: int) -> PngHeader:
    """Hold each chunk against its CRC, and the compressed pixels against their checksum and length.

    Raises ValueError with what was found.
    """
    chunks = _chunks(content)
    names = [name for name, _ in chunks]
    if names[:1] != [b"IHDR"] or names[-1] != b"IEND" or len(chunks[0][1]) != 13:
        raise ValueError("chunks that do not begin with IHDR and end with IEND")
    if b"acTL" in names:
        raise ValueError("an animation, expected one picture")
    header = chunks[0][1]
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    bits, colour_type, interlaced = header[8], header[9], header[12]
    if width * height > most_pixels:
        raise ValueError(f"{width}x{height} pixels, expected at most {most_pixels} in all")
    expected = _stored_bytes(width, height, bits * _CHANNELS.get(colour_type, 0), bool(interlaced))
    stream = zlib.decompressobj()
    data = b"".join(value for name, value in chunks if name == b"IDAT")
    try:
        length = len(stream.decompress(data, expected + 1))
    except zlib.error as error:
        raise ValueError(f"damaged pixels ({error})") from None
    if length != expected or not stream.eof:
        raise ValueError(f"{length} bytes of pixels, expected {expected}")
    first = dict(reversed(chunks))
    return PngHeader(colour_type, bits, first.get(b"PLTE", b""), first.get(b"eXIf", b""))


def mark_drawing(content: bytes) -> bytes:
    """Mark a PNG file as a drawing of this program, by a tEXt chunk before its end."""
    if not content.endswith(_END):
        raise ValueError("a PNG file without IEND")
    return content.removesuffix(_END) + _DRAWING + _END


def is_drawing(content: bytes) -> bool:
    """Whether a PNG file is marked as a drawing."""
    return content.endswith(_DRAWING + _END)


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


_END = _chunk(b"IEND", b"")
_DRAWING = _chunk(b"tEXt", b"Software\0edge-inspect drawing")
"""Keyword and text of 11.3.3.2; readers of pictures refuse such a file."""


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Names and data in their order, up to IEND."""
    chunks: list[tuple[bytes, bytes]] = []
    at = len(MARK)
    while not chunks or chunks[-1][0] != b"IEND":
        length = int.from_bytes(content[at : at + 4], "big")
        name, data, crc = content[at + 4 : at + 8], content[at + 8 : at + 8 + length], content[at + 8 + length :][:4]
        if len(crc) < 4:
            raise ValueError(f"a truncated image of {len(content)} bytes")
        if zlib.crc32(name + data) != int.from_bytes(crc, "big"):
            raise ValueError(f"a chunk {name.decode('latin-1')!r} that differs from its CRC")
        chunks.append((name, data))
        at += 12 + length
    return chunks


def _stored_bytes(width: int, height: int, pixel_bits: int, interlaced: bool) -> int:
    """Length of the decompressed pixels, one byte of filter before each row."""
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes)
    return sum(rows * (1 + -(-columns * pixel_bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)
