"""Masks and outlines of defects on a picture: for the operator's page, the reports and the Python interface."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle.decide import Defect, Geometry, Threshold, frame_box
from bundle.preprocess import Image

PALETTE = ((230, 75, 60), (60, 160, 240), (250, 200, 40), (90, 210, 110), (200, 110, 230))
"""RGB, one per class in channel order, repeated for more classes."""

Contour = NDArray[np.int32]
"""Closed polygon, int32 [K, 2]: x and y in pixels."""


def colour_of(class_index: int) -> tuple[int, int, int]:
    """Return the RGB colour of a class."""
    return PALETTE[class_index % len(PALETTE)]


def cells_of(
    defects: Sequence[Defect], masks: Image, thresholds: Sequence[Threshold], geometry: Geometry
) -> Iterator[NDArray[np.bool_]]:
    """Yield the mask cells, bool [h, w], of each defect of a decision on `masks`, uint8 [C, h, w].

    A defect that was found by its score alone, with area 0, has the cell of the largest mask value.
    """
    used: set[tuple[int, int]] = set()
    for defect in defects:
        mask, index = masks[defect.class_index], defect.class_index
        if defect.area_px == 0:
            yield np.arange(mask.size).reshape(mask.shape) == mask.argmax()
            continue
        binary = (mask >= thresholds[index].level).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
        cell_area = geometry.input_height * geometry.input_width / mask.size
        for label, (x, y, width, height, count) in enumerate(stats.tolist()):
            same = (
                frame_box((x, y, width, height), masks, geometry) == defect.box and count * cell_area == defect.area_px
            )
            if label and same and (index, label) not in used:
                used.add((index, label))
                yield labels == label
                break
        else:
            raise ValueError(f"defect {defect}: found no such blob in the masks, expected the masks of its decision")


def enlarged(cells: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Resize a mask, bool [h, w], to bool [height, width] by nearest neighbour."""
    return cv2.resize(cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT).view(np.bool_)


def outlines_of(mask: NDArray[np.bool_]) -> list[Contour]:
    """Return the outer contours of a mask, bool [H, W]."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [np.asarray(contour, np.int32).reshape(-1, 2) for contour in contours]


def draw_outlines(picture: Image, outlines: Sequence[Contour], colour: Sequence[int], thick_px: int = 1) -> None:
    """Draw contours into an RGB picture, uint8 [H, W, 3], in place; lines wider than a pixel are antialiased."""
    line = cv2.LINE_AA if thick_px > 1 else cv2.LINE_8
    cv2.drawContours(picture, list(outlines), -1, tuple(colour), thick_px, line)
