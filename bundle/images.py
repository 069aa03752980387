"""Pictures on disk, decoded strictly: what a decoder would repair or guess is refused."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import jpeg, png, tiff
from bundle.errors import FrameError
from bundle.preprocess import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff"})
"""Endings, in lower case, of the files that `read_image` reads."""
OTHER_SUFFIXES = frozenset({".gif", ".webp", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".pgm", ".ppm", ".pnm", ".dng"})
"""Endings of pictures that are not read: no decoder here is strict about them."""

DEPTHS_BITS = (10, 12, 14, 16)
"""Depths of cameras whose values lie in 16-bit files."""
MOST_PIXELS = 2**28
"""Larger pictures are refused before memory is taken for them."""
_QUICK = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
"""Noise repeats nothing that is worth a search by deflate."""
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # OpenCV 4.8 has none and subtracts the pixel to the left, which takes longer
    _QUICK += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
_SURE_ABOVE = 2**14 - 1
"""Only a picture of 16 bits has values above those of the next smaller depth."""

Mode = Literal["grey", "colour", "palette", "alpha"]


@dataclass(frozen=True, eq=False)
class StoredImage:
    """Pixels as a file holds them."""

    pixels: NDArray[Any]
    """uint8 or uint16; [H, W] grey, [H, W, 3] RGB (a palette resolved), [H, W, 4] RGB with alpha."""
    mode: Mode
    bits: int | None
    """Significant bits of a value; None where a 16-bit file does not tell."""
    palette: NDArray[np.uint8]
    """RGB of each index, [N, 3]; empty but for the mode "palette"."""
    orientation: int
    """EXIF orientation that has been applied to `pixels`; 1: none."""


def read_image(path: Path, grey: bool = False, bits: int | None = None) -> Image:
    """Read a picture: uint8 [H, W] if it is grey or `grey` is asked for, else [H, W, 3] RGB, turned by its EXIF mark.

    bits: depth of the values in a 16-bit file, 8 to 16, which are shifted to 8; without it a file whose depth is not
    certain is refused. Files of 8 bits need none.
    Raises FrameError if it is missing, damaged, has transparent pixels, or is no picture that can be read strictly.
    """
    return decode_image(path, _content(path), grey, bits)


def decode_image(path: Path, content: bytes, grey: bool = False, bits: int | None = None) -> Image:
    """Decode a picture that has been read already; `path` is for messages. See `read_image`."""
    stored = decode_stored(content, str(path))
    pixels = _opaque(path, _in_8_bits(path, stored, bits))
    if grey and pixels.ndim == 3:
        if content.startswith(jpeg.MARK):
            return turned(jpeg.luminance(content), stored.orientation)
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
    return pixels


def read_stored(path: Path) -> StoredImage:
    """Read a picture without any change of its values. Raises FrameError as `read_image` does."""
    return decode_stored(_content(path), str(path))


def decode_stored(content: bytes, where: str) -> StoredImage:
    """Decode the content of a picture file, named `where` in messages. Raises FrameError as `read_image` does."""
    drawn = jpeg.is_drawing(content) if content.startswith(jpeg.MARK) else png.is_drawing(content)
    try:
        if content.startswith(jpeg.MARK) and not drawn:
            return _jpeg(content)
        if content.startswith(png.MARK) and not drawn:
            return _png(content)
        if content.startswith(tiff.MARKS):
            return _tiff(content)
        if content.startswith(b"BM"):
            return _bmp(content)
    except (ValueError, IndexError, cv2.error) as error:
        raise FrameError(f"{where}: found {_one_line(error)}; copy it again, or save it as PNG") from None
    if drawn:
        raise FrameError(
            f"{where}: found outlines drawn by edge-inspect, expected the picture of a camera; use the picture without "
            "outlines"
        )
    raise FrameError(f"{where}: found {len(content)} bytes that are no image, expected JPEG, PNG, BMP or TIFF")


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation, 1 to 8 (CIPA DC-008, tag 274)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def encode_png(image: Image, quick: bool = False) -> bytes:
    """Encode uint8 [H, W] grey or [H, W, 3] RGB as PNG.

    quick: encode a camera's frame in less time; a mask gets larger.
    """
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", stored, _QUICK if quick else ())
    if not done:
        raise FrameError(f"a picture of shape {image.shape} cannot be encoded as PNG")
    return data.tobytes()


def encode_drawing(image: Image) -> bytes:
    """Encode a picture with drawn outlines, uint8 [H, W, 3] RGB, as a PNG that `read_image` refuses.

    Otherwise it could be taken for a camera's picture, and for a training image.
    """
    return png.mark_drawing(encode_png(image))


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FrameError(f"{path}: found a pipe or device, expected a picture; name a file")
            return file.read()
    except IsADirectoryError:
        raise FrameError(f"{path}: found a folder, expected a picture; name a file in it") from None
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror}), expected a picture; restore it") from None


def _at_once(path: str, flags: int) -> int:
    """Opener that does not wait for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _jpeg(content: bytes) -> StoredImage:
    if b"\xff\xd9" not in content[-1024:]:  # EOI, ITU-T T.81, B.1.1.3; some writers pad behind it
        raise ValueError(f"a truncated image of {len(content)} bytes")
    pixels, orientation = jpeg.decode_jpeg(content, MOST_PIXELS), tiff.orientation(jpeg.exif_block(content))
    return _stored(pixels, "grey" if pixels.ndim == 2 else "colour", 8, orientation=orientation)


def _png(content: bytes) -> StoredImage:
    header = png.check_png(content, MOST_PIXELS)
    pixels = _raw(content)
    mode: Mode = "alpha" if pixels.ndim == 3 and pixels.shape[2] == 4 else "colour" if pixels.ndim == 3 else "grey"
    if header.colour_type == png.PALETTE and mode != "alpha":
        if pixels.ndim == 2:
            pixels = np.stack([pixels] * 3, axis=-1)
        palette = np.frombuffer(header.palette, np.uint8).reshape(-1, 3)
        return _stored(pixels, "palette", 8, palette, tiff.orientation(header.exif))
    depth = _depth(pixels, None)
    return _stored(pixels, mode, depth, orientation=tiff.orientation(header.exif))


def _tiff(content: bytes) -> StoredImage:
    header = tiff.check_tiff(content, MOST_PIXELS)
    pixels = _raw(content)
    if pixels.dtype.itemsize * 8 != header.bits or (1 if pixels.ndim == 2 else pixels.shape[2]) != header.samples:
        raise ValueError(f"pixels of {pixels.dtype} {pixels.shape}, expected {header.samples} of {header.bits} bits")
    if header.orientation != 1:
        raise ValueError(f"the orientation {header.orientation}, expected a TIFF that is stored upright")
    return _stored(pixels, "grey" if pixels.ndim == 2 else "colour", _depth(pixels, header.largest))


def _bmp(content: bytes) -> StoredImage:
    """Only uncompressed files of 8, 24 or 32 bits; the fourth byte of 32 is unused (BITMAPINFOHEADER, BI_RGB)."""
    start, size = int.from_bytes(content[10:14], "little"), int.from_bytes(content[14:18], "little")
    width, height = (int.from_bytes(content[at : at + 4], "little", signed=True) for at in (18, 22))
    depth, compression = int.from_bytes(content[28:30], "little"), int.from_bytes(content[30:34], "little")
    if size < 40 or compression != 0 or depth not in (8, 24, 32):
        raise ValueError(f"a BMP of {depth} bits with compression {compression}, expected 8, 24 or 32 bits without any")
    if abs(width * height) > MOST_PIXELS:
        raise ValueError(f"{width}x{abs(height)} pixels, expected at most {MOST_PIXELS} in all")
    if len(content) < start + (width * depth + 31) // 32 * 4 * abs(height):
        raise ValueError(f"a truncated image of {len(content)} bytes")
    pixels = _raw(content)[..., :3] if depth == 32 else _raw(content)
    if depth == 8 and pixels.ndim == 3:
        colours = np.frombuffer(content[14 + size : start], np.uint8).reshape(-1, 4)[:, 2::-1]
        return _stored(pixels, "palette", 8, colours)
    return _stored(pixels, "grey" if pixels.ndim == 2 else "colour", 8)


def _raw(content: bytes) -> NDArray[Any]:
    """Decoded values with their own depth and channels, RGB order, not turned."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(f"{len(content)} bytes that cannot be decoded")
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB))


def _depth(pixels: NDArray[Any], largest: int | None) -> int | None:
    """Significant bits of uint8 or uint16 values, where that is certain; `largest`: the greatest by the file's word."""
    if pixels.dtype == np.uint8:
        return 8
    if pixels.dtype != np.uint16:
        raise ValueError(f"values of {pixels.dtype}, expected 8 or 16 bits")
    if pixels.max() > _SURE_ABOVE:
        return 16
    stated = {2**bits - 1: bits for bits in DEPTHS_BITS}.get(largest or 0)
    return stated if stated is not None and pixels.max() < 2**stated else None


def _stored(
    pixels: NDArray[Any],
    mode: Mode,
    bits: int | None,
    palette: NDArray[np.uint8] | None = None,
    orientation: int = 1,
) -> StoredImage:
    colours = np.zeros((0, 3), np.uint8) if palette is None else palette
    return StoredImage(turned(pixels, orientation), mode, bits, colours, orientation)


def _in_8_bits(path: Path, stored: StoredImage, bits: int | None) -> NDArray[np.uint8]:
    if stored.pixels.dtype == np.uint8:
        return stored.pixels
    largest, depth = int(stored.pixels.max()), bits or stored.bits
    if depth is None:
        raise FrameError(
            f"{path}: found a 16-bit file with values up to {largest}, expected to be told the camera's depth; "
            "state bits = 10, 12, 14 or 16 in dataset.toml, or ?bits=12 in the camera's address"
        )
    if largest >= 2**depth:
        raise FrameError(f"{path}: found values up to {largest}, expected {depth} bits, at most {2**depth - 1}")
    return (stored.pixels >> (depth - 8)).astype(np.uint8)


def _opaque(path: Path, pixels: NDArray[np.uint8]) -> Image:
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if (pixels[..., 3] != 255).any():
        raise FrameError(f"{path}: found transparent pixels, expected none; save the picture without an alpha channel")
    return np.ascontiguousarray(pixels[..., :3])
