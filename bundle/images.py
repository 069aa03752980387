"""Pictures on disk, read and written one way everywhere."""

from pathlib import Path

import cv2
import numpy as np

from bundle.errors import FrameError
from bundle.preprocess import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""Endings of the files that `read_image` reads."""


def read_image(path: Path) -> Image:
    """Read a picture as uint8 [H, W] grey or [H, W, 3] RGB; 16 bits are cut to 8.

    Raises FrameError if it is missing, not whole, or no picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror}), expected a picture; check the path") from None
    if not _has_its_end(path.suffix.lower(), content):
        raise FrameError(f"{path}: the picture is cut off after {len(content)} bytes; copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        image = None
    if image is None:
        raise FrameError(f"{path}: found no picture in its {len(content)} bytes, expected one of {sorted(SUFFIXES)}")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def encode_png(image: Image) -> bytes:
    """Encode uint8 [H, W] grey or [H, W, 3] RGB as PNG."""
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", stored)
    if not done:
        raise FrameError(f"a picture of shape {image.shape} cannot be encoded as PNG")
    return data.tobytes()


def _has_its_end(suffix: str, content: bytes) -> bool:
    """Tell whether the file has its end marker: decoders fill what is missing with grey in silence."""
    if suffix in {".jpg", ".jpeg"}:
        return b"\xff\xd9" in content[-64:]  # EOI, ITU-T T.81 annex B; some writers pad behind it
    if suffix == ".png":
        return b"IEND" in content[-16:]  # PNG specification, 11.2.5
    return bool(content)
