"""Stored pictures as JPEG, for the page and the reports."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records.overlay import JPEG_QUALITY, resized
from edge.records.retention import DRAWN, OVERLAYS


def inside(folder: Path, name: str) -> Path | None:
    """Return the path of an existing file of a folder; None elsewhere: a name in a file is never trusted as a path."""
    path = folder / name
    return path if path.resolve().is_relative_to(folder.resolve()) and path.is_file() else None


def frame_jpeg(folder: Path, name: str, longest_px: int) -> bytes | None:
    """Encode a stored frame, shrunk to `longest_px` for the longer side; None if it is gone or cannot be read."""
    path = inside(folder, name)
    image = None if path is None else cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else _jpeg(np.asarray(image, np.uint8), longest_px)


def drawn_jpeg(folder: Path, name: str, longest_px: int) -> bytes | None:
    """Encode the overlay of a stored frame, or the frame where it has none; see `frame_jpeg`."""
    names = f"{OVERLAYS}/{name}{DRAWN}", f"{OVERLAYS}/{name}", name  # the second: of an earlier version
    return next((found for one in names if (found := frame_jpeg(folder, one, longest_px)) is not None), None)


def _jpeg(image: NDArray[np.uint8], longest_px: int) -> bytes:
    scale = min(1.0, longest_px / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    done, content = cv2.imencode(".jpg", resized(image, size), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"the picture of {image.shape} could not be made a JPEG")
    return content.tobytes()
