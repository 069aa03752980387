"""A TIFF file is refused for what is damaged in it, and for what the check does not know."""

import struct
import zlib

import pytest

from bundle.tiff import check_tiff, orientation

MOST_PIXELS = 1000
PIXELS = bytes(range(48))
"""8 x 6 grey."""
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION = 256, 257, 258, 259, 262, 273, 274
SAMPLES, ROWS, STRIP_BYTES, PLANAR, TILE_WIDTH, TILE_LENGTH = 277, 278, 279, 284, 322, 323
TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT = 324, 325, 338, 339
STRIPS = (ROWS, STRIP_OFFSETS, STRIP_BYTES)


def tiff(data: bytes = PIXELS, order: str = "<", without: tuple[int, ...] = (), **tags: int | tuple[int, ...]) -> bytes:
    """Write a TIFF file of 8 x 6 grey pixels in one strip at byte 8, with LONG values; `t256=9` sets tag 256."""
    content = {
        WIDTH: 8, LENGTH: 6, BITS: 8, COMPRESSION: 1, PHOTOMETRIC: 1, STRIP_OFFSETS: 8, SAMPLES: 1, ROWS: 6,
        STRIP_BYTES: len(data), **{int(name[1:]): value for name, value in tags.items()},
    }  # fmt: skip
    entries, lists, at = [], b"", 8 + len(data)
    for tag, value in sorted((tag, value) for tag, value in content.items() if tag not in without):
        values = value if isinstance(value, tuple) else (value,)
        place = values[0] if len(values) == 1 else at + len(lists)
        lists += b"" if len(values) == 1 else struct.pack(f"{order}{len(values)}I", *values)
        entries.append(struct.pack(f"{order}HHII", tag, 4, len(values), place))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    return mark + struct.pack(f"{order}I", at + len(lists)) + data + lists + directory


TILES = {"t322": 8, "t323": 3, "t324": (8, 32), "t325": (24, 24)}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("data", "tags"),
    [
        (PIXELS, {}),
        (PIXELS, {"t278": 3, "t273": (8, 32), "t279": (24, 24)}),
        (PIXELS, {"without": STRIPS, **TILES}),
        (zlib.compress(PIXELS), {"t259": 8}),
        (zlib.compress(PIXELS), {"t259": 32946}),
        (b"\x80\x2f" + PIXELS, {"t259": 32773}),
        (b"\xd1\x07", {"t259": 32773}),
    ],
    ids=["one strip", "two strips", "two tiles", "Deflate", "old Deflate", "PackBits, literal", "PackBits, run"],
)
def test_data_of_the_right_length_are_accepted(data: bytes, order: str, tags: dict) -> None:
    header = check_tiff(tiff(data, order, **tags), MOST_PIXELS)

    assert (header.bits, header.samples, header.largest, header.orientation) == (8, 1, None, 1)


@pytest.mark.parametrize(
    ("data", "tags", "reason"),
    [
        (PIXELS, {"t258": 12}, "expected whole numbers of 8 or 16 bits"),
        (PIXELS, {"t339": 3}, "expected whole numbers of 8 or 16 bits"),
        (PIXELS, {"t262": 0}, "expected black-is-zero grey or RGB"),
        (PIXELS, {"t338": 1}, "without transparency"),
        (PIXELS, {"t284": 2}, "colours of a pixel side by side"),
        (PIXELS, {"t256": 1001, "t257": 1}, "1001x1 pixels, expected at most 1000"),
        (PIXELS, {"without": (WIDTH,)}, "a directory without size or data"),
        (PIXELS, {"without": STRIPS}, "a directory without size or data"),
        (PIXELS, {"t278": 0}, "a directory without size or data"),
        (PIXELS, {"without": STRIPS, **TILES, "t322": 0}, "a directory without size or data"),
        (PIXELS, {"t278": 3}, "1 strips or tiles, expected 2"),
        (PIXELS, {"without": STRIPS, **TILES, "t323": 6}, "2 strips or tiles, expected 1"),
        (PIXELS, {"t279": 200}, "strip or tile 1 of 1 damaged or cut off"),
        (PIXELS[:40], {}, "strip or tile 1 of 1 damaged or cut off"),
        (PIXELS, {"t259": 7}, "the compression 7, expected none, LZW, Deflate or PackBits"),
        (PIXELS, {"t259": 8}, "damaged"),
        (zlib.compress(PIXELS)[:-1], {"t259": 8}, "damaged"),
        (zlib.compress(PIXELS + b"."), {"t259": 8}, "damaged"),
        (b"\xd1", {"t259": 32773}, "damaged"),
        (b"\x00\x80\x40\x00", {"t259": 5}, "damaged"),
        (b"\x80", {"t259": 5}, "damaged"),
    ],
)
def test_a_file_is_refused_with_its_reason(data: bytes, tags: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_tiff(tiff(data, **tags), MOST_PIXELS)


def test_lzw_is_counted_to_its_end_mark() -> None:
    codes = [256, 7, 258, 259, 257]  # clear; a byte, it twice, it thrice; end
    bits = "".join(f"{code:09b}" for code in codes)
    data = int(bits.ljust(48, "0"), 2).to_bytes(6, "big")

    check_tiff(tiff(data, t259=5, t256=6, t257=1, t278=1), MOST_PIXELS)
    with pytest.raises(ValueError, match="damaged"):
        check_tiff(tiff(data, t259=5, t256=7, t257=1, t278=1), MOST_PIXELS)


@pytest.mark.parametrize("cut", [9, 60, -2])
def test_a_directory_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="beyond the end of the file"):
        check_tiff(tiff()[:cut], MOST_PIXELS)


def test_a_tag_of_too_many_values_is_refused_before_they_are_read() -> None:
    content = tiff().replace(struct.pack("<HHI", WIDTH, 4, 1), struct.pack("<HHI", WIDTH, 4, 1_000_001))
    with pytest.raises(ValueError, match="1000001 values of tag 256"):
        check_tiff(content, MOST_PIXELS)


@pytest.mark.parametrize(
    ("content", "found"),
    [(tiff(t274=6), 6), (tiff(order=">", t274=3), 3), (tiff(), 1), (tiff(t274=6)[:60], 1), (b"\xff\xd8", 1)],
    ids=["6", "3, big-endian", "none", "cut off", "no TIFF"],
)
def test_the_orientation_is_that_of_the_directory(content: bytes, found: int) -> None:
    assert orientation(content) == found
