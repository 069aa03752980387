"""Structure of a TIFF file, checked before it is decoded (TIFF Revision 6.0, Adobe 1992)."""

import zlib
from dataclasses import dataclass

MARKS = (b"II*\0", b"MM\0*")

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
"""Bytes per value of BYTE, ASCII, SHORT, LONG, RATIONAL (section 2)."""
_MOST_VALUES = 1_000_000
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES, _MAX_VALUE = 273, 274, 277, 278, 279, 281
_PLANAR, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES = 284, 322, 323, 324, 325
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_NONE, _LZW, _DEFLATE, _ADOBE_DEFLATE, _PACK_BITS = 1, 5, 32946, 8, 32773
_CLEAR, _END = 256, 257


@dataclass(frozen=True)
class TiffHeader:
    """Pixel format and data offsets of the single page of a TIFF file."""

    bits: int
    """Per sample, 8 or 16."""
    samples: int
    """1 grey, 3 RGB."""
    largest: int | None
    """MaxSampleValue, where the writer states it."""
    orientation: int


def check_tiff(content: bytes, most_pixels: int) -> TiffHeader:
    """Read the header and decode every strip or tile for its length.

    Raises ValueError for what is damaged, and for what cannot be checked: several pages, transparency, palettes,
    JPEG inside TIFF, other depths than 8 and 16 bits.
    """
    order = "little" if content.startswith(b"II") else "big"
    tags, following = _directory(content, order, _whole(content, 4, 4, order))
    if following:
        raise ValueError("several pages, expected one")
    one = {tag: values[0] for tag, values in tags.items() if values}
    samples = one.get(_SAMPLES, 1)
    bits = set(tags.get(_BITS, [1]))
    if bits not in ({8}, {16}) or set(tags.get(_SAMPLE_FORMAT, [1])) != {1}:
        raise ValueError(f"{sorted(bits)} bits per sample or other numbers, expected whole numbers of 8 or 16 bits")
    if (samples, one.get(_PHOTOMETRIC)) not in ((1, 1), (3, 2)) or tags.get(_EXTRA_SAMPLES):
        raise ValueError("another kind of pixels, expected black-is-zero grey or RGB without transparency")
    if one.get(_PLANAR, 1) != 1:
        raise ValueError("planes of their own per colour, expected the colours of a pixel side by side")
    if one.get(_WIDTH, 0) * one.get(_LENGTH, 0) > most_pixels:
        raise ValueError(f"{one[_WIDTH]}x{one[_LENGTH]} pixels, expected at most {most_pixels} in all")
    _check_data(content, tags, samples * bits.pop() // 8)
    return TiffHeader(tags[_BITS][0], samples, one.get(_MAX_VALUE), one.get(_ORIENTATION, 1))


def orientation(content: bytes) -> int:
    """The orientation of the first directory, 1 (as stored) to 8 (tag 274); 1 where it says nothing readable."""
    if not content.startswith(MARKS):
        return 1
    order = "little" if content.startswith(b"II") else "big"
    try:
        tags, _ = _directory(content, order, _whole(content, 4, 4, order))
    except ValueError:
        return 1
    return (tags.get(_ORIENTATION) or [1])[0]


def _whole(content: bytes, at: int, size: int, order: str) -> int:
    if at + size > len(content):
        raise ValueError("a directory that leads beyond the end of the file")
    return int.from_bytes(content[at : at + size], order)  # type: ignore[arg-type]


def _directory(content: bytes, order: str, at: int) -> tuple[dict[int, list[int]], int]:
    """The whole-number values of each tag, with the offset of the next directory."""
    count = _whole(content, at, 2, order)
    tags: dict[int, list[int]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = (_whole(content, entry + place, size, order) for place, size in ((0, 2), (2, 2), (4, 4)))
        size = _SIZES.get(kind, 0)
        if kind in (2, 5) or not size:
            continue
        if number > _MOST_VALUES:
            raise ValueError(f"{number} values of tag {tag}")
        start = entry + 8 if size * number <= 4 else _whole(content, entry + 8, 4, order)
        tags[tag] = [_whole(content, start + size * index, size, order) for index in range(number)]
    return tags, _whole(content, at + 2 + 12 * count, 4, order)


def _check_data(content: bytes, tags: dict[int, list[int]], pixel_bytes: int) -> None:
    try:
        (width,), (height,) = tags[_WIDTH], tags[_LENGTH]
        if _TILE_OFFSETS in tags:
            (tile_width,), (tile_height,) = tags[_TILE_WIDTH], tags[_TILE_LENGTH]
            offsets, counts = tags[_TILE_OFFSETS], tags[_TILE_BYTES]
            across, down = -(-width // tile_width), -(-height // tile_height)
            sizes = [tile_width * tile_height * pixel_bytes] * (across * down)
        else:
            rows = min(tags.get(_ROWS, [height])[0], height)
            offsets, counts = tags[_STRIP_OFFSETS], tags[_STRIP_BYTES]
            sizes = [min(rows, height - top) * width * pixel_bytes for top in range(0, height, rows)]
        compression = tags.get(_COMPRESSION, [_NONE])[0]
    except (KeyError, ValueError, ZeroDivisionError):
        raise ValueError("a directory without size or data") from None
    if not len(offsets) == len(counts) == len(sizes):
        raise ValueError(f"{len(offsets)} strips or tiles, expected {len(sizes)}")
    for number, (offset, count, size) in enumerate(zip(offsets, counts, sizes, strict=True), start=1):
        data = content[offset : offset + count]
        if len(data) < count or _length(data, compression, size) != size:
            raise ValueError(f"strip or tile {number} of {len(sizes)} damaged or cut off")


def _length(data: bytes, compression: int, expected: int) -> int:
    """Return the number of bytes that the data decode to; -1 for data that do not decode."""
    if compression == _NONE:
        return min(len(data), expected)
    if compression in (_DEFLATE, _ADOBE_DEFLATE):
        return _inflated_length(data, expected)
    if compression == _LZW:
        return _lzw_length(data, expected)
    if compression == _PACK_BITS:
        return _pack_bits_length(data)
    raise ValueError(f"the compression {compression}, expected none, LZW, Deflate or PackBits")


def _inflated_length(data: bytes, expected: int) -> int:
    stream = zlib.decompressobj()
    try:
        length = len(stream.decompress(data, expected + 1))
    except zlib.error:
        return -1
    return length if stream.eof else -1  # at the end its checksum has been compared


def _lzw_length(data: bytes, expected: int) -> int:
    """Section 13: codes of 9 to 12 bits, the first bit highest, one code wider an entry early."""
    lengths: list[int] = []
    total = previous = held = have = 0
    width = 9
    for byte in data:
        held, have = (held << 8 | byte) & 0xFFFFFF, have + 8
        if have < width:
            continue
        have -= width
        code = held >> have & (1 << width) - 1
        if code == _END:
            return total
        if code == _CLEAR:
            lengths, previous, width = [1] * 258, 0, 9
            continue
        if not lengths or code > len(lengths) or (code == len(lengths) and not previous):
            return -1
        if previous:
            lengths.append(previous + 1)
        if code >= len(lengths):
            return -1
        previous = lengths[code]
        total += previous
        if total > expected or len(lengths) > 4096:
            return -1
        width = max(9, (len(lengths) + 1).bit_length())
    return -1  # no end mark


def _pack_bits_length(data: bytes) -> int:
    """Section 9: a count of literal bytes, or of repeats of one."""
    at = total = 0
    while at < len(data):
        count = data[at]
        if count == 128:
            at += 1
        elif count < 128:
            at, total = at + 2 + count, total + count + 1
        else:
            at, total = at + 2, total + 257 - count
    return total if at == len(data) else -1
