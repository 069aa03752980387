"""Defect blobs: connected components of a mask, cut out with their pixels."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.dataset import Image, Masks

RING_PX = 5
"""Width of the ring around a blob in which its surroundings are measured."""


Numbers = NDArray[np.int32]


@dataclass(frozen=True)
class Blob:
    """A defect in its bounding box, with its surroundings for blending into another image."""

    context: Image
    """[channels, h + 2 RING_PX, w + 2 RING_PX]: its pixels with their surroundings, edge pixels repeated outside."""
    mask: Masks
    """[h, w]"""
    surroundings: float
    """Mean grey level of the ring around it in its own image; of the blob itself where it fills the image."""
    edges: tuple[bool, bool, bool, bool]
    """Whether it touches the top, bottom, left and right of its own image."""

    @property
    def pixels(self) -> Image:
        """[channels, h, w]"""
        return self.context[:, RING_PX:-RING_PX, RING_PX:-RING_PX]


def find_blobs(image: Image, mask: Masks) -> list[Blob]:
    """Cut out the 8-connected components of `mask`, bool [H, W], from `image`, uint8 [channels, H, W]; copies."""
    count, numbered, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    pieces, wide = np.asarray(numbered, dtype=np.int32), with_margin(image)
    return [_cut(image, wide, pieces, number, np.asarray(stats[number])) for number in range(1, count)]


def ring_mean(image: Image, mask: Masks, top: int, left: int) -> float:
    """Mean grey level of `image` in a ring around `mask` placed at (top, left)."""
    height, width = mask.shape
    rows, columns = image.shape[1:]
    padded = padded_mask(mask)
    ring = cv2.dilate(padded, np.ones((2 * RING_PX + 1,) * 2, np.uint8)) > padded
    y0, x0 = max(0, top - RING_PX), max(0, left - RING_PX)
    y1, x1 = min(rows, top + height + RING_PX), min(columns, left + width + RING_PX)
    part = ring[y0 - top + RING_PX : y1 - top + RING_PX, x0 - left + RING_PX : x1 - left + RING_PX]
    window = image[:, y0:y1, x0:x1]
    return float(window[:, part].mean()) if part.any() else float(window.mean())


def padded_mask(mask: Masks) -> Image:
    """The mask with RING_PX zeros around it, uint8."""
    padded = np.zeros([length + 2 * RING_PX for length in mask.shape], dtype=np.uint8)
    padded[RING_PX:-RING_PX, RING_PX:-RING_PX] = mask
    return padded


def with_margin(image: Image) -> Image:
    """The image, uint8 [channels, H, W], with RING_PX repeated edge pixels around it."""
    return np.pad(image, ((0, 0), (RING_PX, RING_PX), (RING_PX, RING_PX)), mode="edge")


def _cut(image: Image, wide: Image, pieces: Numbers, number: int, stats: NDArray[Any]) -> Blob:
    left, top, width, height = (int(value) for value in stats[:4])
    rows, columns = pieces.shape
    mask = pieces[top : top + height, left : left + width] == number
    return Blob(
        context=wide[:, top : top + height + 2 * RING_PX, left : left + width + 2 * RING_PX].copy(),
        mask=mask,
        surroundings=ring_mean(image, mask, top, left),
        edges=(top == 0, top + height == rows, left == 0, left + width == columns),
    )
