"""Pictures on disk, read and written one way everywhere."""

from pathlib import Path

import cv2
import numpy as np

from bundle.errors import FrameError
from bundle.preprocess import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""Endings of the files that `read_image` reads."""


def read_image(path: Path, grey: bool = False) -> Image:
    """Read a picture: uint8 [H, W] if it is grey or `grey` is asked for, else [H, W, 3] RGB; 16 bits are cut to 8.

    Raises FrameError if it is missing, truncated, or no picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror}), expected a picture; restore it") from None
    if _cut_off(content):
        raise FrameError(f"{path}: found a truncated image of {len(content)} bytes; copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        image = None
    if image is None:
        raise FrameError(f"{path}: found {len(content)} bytes that are no image, expected JPEG, PNG, BMP or TIFF")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def encode_png(image: Image) -> bytes:
    """Encode uint8 [H, W] grey or [H, W, 3] RGB as PNG."""
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", stored)
    if not done:
        raise FrameError(f"a picture of shape {image.shape} cannot be encoded as PNG")
    return data.tobytes()


def _cut_off(content: bytes) -> bool:
    """Tell whether the end mark is missing: decoders fill what is not there with grey in silence."""
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in content[-1024:]  # EOI, ITU-T T.81, B.1.1.3; some writers pad behind it
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content[-1024:]  # PNG specification, 11.2.5
    return False
