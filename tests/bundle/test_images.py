"""Pictures on disk: each accepted format whole, damaged, in other depths, transparent, turned."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import FrameError, encode_png, read_image, read_stored
from bundle.jpeg import mark_drawing

FORMATS = {
    "jpg": (".jpg", []),
    "jpg with restarts": (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]),
    "progressive jpg": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "png": (".png", []),
    "plain tif": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
    "lzw tif": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    "deflate tif": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
    "packbits tif": (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 32773]),
    "bmp": (".bmp", []),
}
CHECKED = ("jpg", "jpg with restarts", "progressive jpg", "png", "lzw tif", "deflate tif")
"""Formats whose pixels are coded, so that a hole in the middle can be seen."""


def picture(colour: bool = False) -> np.ndarray:
    """Draw a noisy surface."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
    grey = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.dstack([grey, 255 - grey, grey[::-1]]) if colour else grey


def encoded(kind: str, image: np.ndarray) -> bytes:
    suffix, options = FORMATS[kind]
    stored = image if image.ndim == 2 else image[..., ::-1]  # OpenCV writes BGR
    return cv2.imencode(suffix, stored, options)[1].tobytes()


def written(folder: Path, content: bytes, name: str = "picture") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def refused(path: Path, message: str, **options: object) -> None:
    with pytest.raises(FrameError, match=message) as caught:
        read_image(path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_picture_is_read(tmp_path: Path, kind: str, colour: bool) -> None:
    found = read_image(written(tmp_path, encoded(kind, picture(colour))))
    lossy = 60 if "jpg" in kind else 0  # colours are stored at half the resolution
    assert found.shape == picture(colour).shape
    assert np.abs(found.astype(int) - picture(colour)).max() <= lossy


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_off_picture_is_refused(tmp_path: Path, kind: str) -> None:
    content = encoded(kind, picture())
    refused(written(tmp_path, content[: len(content) * 2 // 3]), "picture: found")


@pytest.mark.parametrize("kind", CHECKED)
def test_a_picture_whose_middle_is_missing_is_refused(tmp_path: Path, kind: str) -> None:
    content = encoded(kind, picture())
    middle = len(content) // 2
    refused(written(tmp_path, content[: middle - 100] + content[middle + 100 :]), "picture: found")


@pytest.mark.parametrize("kind", CHECKED)
def test_a_picture_with_a_hole_of_zeros_is_refused(tmp_path: Path, kind: str) -> None:
    content = encoded(kind, picture())
    middle = len(content) // 2
    refused(written(tmp_path, content[: middle - 100] + bytes(200) + content[middle + 100 :]), "picture: found")


def test_missing_restart_segments_are_refused(tmp_path: Path) -> None:
    content = encoded("jpg with restarts", picture())
    marks = [at for at in range(len(content) - 1) if content[at] == 0xFF and 0xD0 <= content[at + 1] <= 0xD7]
    assert len(marks) > 8
    refused(written(tmp_path, content[: marks[1]] + content[marks[3] :]), "instead of RST")


def test_a_progressive_picture_without_its_last_scans_is_refused(tmp_path: Path) -> None:
    content = encoded("progressive jpg", picture())
    scans = [at for at in range(len(content) - 1) if content[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 2
    refused(written(tmp_path, content[: scans[-1]] + b"\xff\xd9"), "coefficients without their last scan")


def test_a_damaged_chunk_of_a_png_is_named(tmp_path: Path) -> None:
    content = bytearray(encoded("png", picture()))
    content[content.index(b"IDAT") + 40] ^= 1
    refused(written(tmp_path, bytes(content)), "a chunk 'IDAT' that differs from its CRC")


def test_what_only_resembles_a_picture_is_refused(tmp_path: Path) -> None:
    refused(written(tmp_path, b"GIF89a" + bytes(50)), "no image, expected JPEG, PNG, BMP or TIFF")


def test_several_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    assert cv2.imwritemulti(str(path), [picture(), picture()])
    refused(path, "several pages, expected one")


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    content = palette_png(np.zeros((1, 1), np.uint8), bytes(3))
    header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + content[24:29]
    huge = content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    refused(written(tmp_path, huge), "100000x100000 pixels, expected at most")


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(sorted(FORMATS)), data=st.data())
def test_any_damage_is_our_error_or_a_picture(tmp_path_factory: pytest.TempPathFactory, kind: str, data) -> None:
    content = bytearray(encoded(kind, picture()[:16, :16]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.getbasetemp(), bytes(content), "damaged")
    try:
        found = read_image(path, bits=16)
    except FrameError:
        return
    assert found.dtype == np.uint8


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_picture_of_fewer_than_16_bits_keeps_its_levels_where_its_depth_is_stated(
    tmp_path: Path, suffix: str, bits: int
) -> None:
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), picture().astype(np.uint16) << (bits - 8))
    np.testing.assert_array_equal(read_image(path, bits=bits), picture())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_picture_of_unknown_depth_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), picture().astype(np.uint16) << 4)
    refused(path, r"16-bit file with values up to \d+.*bits = 10, 12, 14 or 16")


def test_values_beyond_the_stated_depth_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((4, 4), 4095, np.uint16))
    refused(path, "found values up to 4095, expected 10 bits, at most 1023", bits=10)


def test_a_depth_of_16_bits_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.array([[0, 40_000]], np.uint16))
    assert read_image(path).tolist() == [[0, 40_000 >> 8]]


def test_a_depth_that_the_writer_states_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    cv2.imwrite(str(path), np.full((2, 2), 2048, np.uint16), [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    content = path.read_bytes()
    at = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[at : at + 2], "little")
    entries = content[at + 2 : at + 2 + 12 * count] + struct.pack("<HHII", 281, 3, 1, 4095)  # MaxSampleValue
    moved = content[:4] + struct.pack("<I", len(content)) + content[8:]
    path.write_bytes(moved + struct.pack("<H", count + 1) + entries + bytes(4))
    assert read_image(path).tolist() == [[128, 128], [128, 128]]


def test_eight_bits_need_no_depth(tmp_path: Path) -> None:
    path = written(tmp_path, encoded("png", picture()))
    np.testing.assert_array_equal(read_image(path, bits=12), picture())


def test_an_opaque_alpha_channel_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    cv2.imwrite(str(path), np.dstack([picture(True)[..., ::-1], np.full((64, 96), 255, np.uint8)]))
    np.testing.assert_array_equal(read_image(path), picture(True))


def test_transparent_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    cv2.imwrite(str(path), np.dstack([picture(True), picture()]))
    refused(path, "found transparent pixels")
    assert read_stored(path).mode == "alpha"


def palette_png(indices: np.ndarray, palette: bytes) -> bytes:
    """Write a PNG of palette indices, chunk by chunk."""
    height, width = indices.shape
    rows = b"".join(b"\0" + row.tobytes() for row in indices)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def test_a_palette_is_resolved_and_kept(tmp_path: Path) -> None:
    content = palette_png(np.array([[0, 1]], np.uint8), bytes([0, 0, 0, 128, 0, 0]))
    stored = read_stored(written(tmp_path, content))
    assert (stored.mode, stored.pixels.tolist()) == ("palette", [[[0, 0, 0], [128, 0, 0]]])
    assert stored.palette.tolist() == [[0, 0, 0], [128, 0, 0]]


def with_orientation(content: bytes, orientation: int) -> bytes:
    """Put an EXIF segment with an orientation behind the start mark of a JPEG."""
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 274, 3, 1, orientation, 0)
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:]


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_by_its_mark(tmp_path: Path, orientation: int, grey: bool) -> None:
    content = with_orientation(encoded("jpg", picture(True)), orientation)
    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    path = written(tmp_path, content)
    np.testing.assert_array_equal(read_image(path, grey), expected)
    assert read_stored(path).orientation == orientation


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_never_ends_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "part.png"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(FrameError, match="found a pipe or device, expected a picture"):
        read_image(path)


def test_a_folder_in_the_place_of_a_picture_is_named_as_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="found a folder, expected a picture; name a file"):
        read_image(tmp_path)


@pytest.mark.parametrize("kind", ["jpg", "jpg with restarts", "progressive jpg"])
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_a_jpeg_with_drawn_outlines_is_no_picture(tmp_path: Path, kind: str, colour: bool) -> None:
    plain = encoded(kind, picture(colour))
    marked = mark_drawing(plain)

    refused(written(tmp_path, marked), "outlines drawn by edge-inspect")
    shown = [cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) for content in (plain, marked)]
    assert np.array_equal(*shown), "other programs show it as before"
    assert marked[:20] == plain[:20], "JFIF's APP0 comes first"


def test_a_jpeg_with_another_comment_is_read(tmp_path: Path) -> None:
    plain, comment = encoded("jpg", picture()), b"no drawing of edge-inspect"
    commented = plain[:20] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + plain[20:]

    assert read_image(written(tmp_path, commented)).shape == picture().shape


def test_what_is_no_jpeg_is_not_marked_as_a_drawing() -> None:
    with pytest.raises(ValueError, match="no JPEG"):
        mark_drawing(b"\x89PNG")


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", ["surface", "noise", "black", "edge"])
def test_a_png_holds_every_pixel(tmp_path: Path, kind: str, colour: bool, quick: bool) -> None:
    drawn = {
        "surface": picture(colour),
        "noise": np.random.default_rng(1).integers(0, 256, picture(colour).shape, dtype=np.uint8),
        "black": np.zeros_like(picture(colour)),
        "edge": np.where(picture(colour) > 127, 255, 0).astype(np.uint8),
    }[kind]

    assert np.array_equal(read_image(written(tmp_path, encode_png(drawn, quick=quick))), drawn)
