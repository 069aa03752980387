"""A square defect in a small picture, as the documents of annotation tools state it."""

import zlib
from pathlib import Path

import cv2
import numpy as np

from tests.bundle.test_images import with_orientation

SQUARE = [2, 1, 5, 1, 5, 4, 2, 4]  # x, y of the corners
HEIGHT, WIDTH = 8, 10


def square() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[1:5, 2:6] = True
    return mask


def polygons(*outlines: object) -> np.ndarray:
    """Fill outlines, drawn beside the picture as well so that no edge is cut."""
    whole = np.zeros((HEIGHT + 16, WIDTH + 16), np.uint8)
    for outline in outlines:
        cv2.fillPoly(whole, [np.rint(np.reshape(outline, (-1, 2))).astype(np.int32) + 8], 1)
    return whole[8:-8, 8:-8] > 0


def run_lengths(mask: np.ndarray) -> list[int]:
    """Count outside and inside in turn, down the columns, as COCO does."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    return np.diff([0, *edges, flat.size]).tolist()


def compressed(counts: list[int]) -> str:
    """Compress run lengths as pycocotools' rleToString does."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def write_images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        level = zlib.crc32(f"{folder.name}/{name}".encode()) % 200
        cv2.imwrite(str(folder / name), np.full((HEIGHT, WIDTH), level, np.uint8))


def with_exif(path: Path, orientation: int) -> None:
    """Write a JPEG whose EXIF mark turns it."""
    _, content = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH), 90, np.uint8))
    path.write_bytes(with_orientation(content.tobytes(), orientation))


def left_over(folder: Path) -> list[str]:
    """List what an import left in the folder where it should have written `out`."""
    return sorted(path.name for path in folder.iterdir() if path.name != "in")
