"""A contact sheet: pictures side by side with the defects drawn in."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import Defect, Image, Threshold

CELL_PX = 220
"""Longer side of a picture on the sheet."""
CAPTION_PX = 22
GAP_PX = 6
COLUMNS = 8
PALETTE = ((230, 75, 60), (60, 160, 240), (250, 200, 40), (90, 210, 110), (200, 110, 230))
"""RGB, one per class in channel order; used again from the start where there are more."""


@dataclass(frozen=True)
class Picture:
    """One frame for the sheet."""

    pixels: Image
    masks: Image
    """uint8 [C, h, w], as the engine gave them."""
    defects: tuple[Defect, ...]
    caption: str


def draw_sheet(pictures: Sequence[Picture], thresholds: Sequence[Threshold]) -> Image:
    """Draw up to any number of pictures into one RGB image, uint8 [H, W, 3].

    The outline of each mask at its class's level is drawn in the class's colour, with the box of its defects.
    """
    rows = max(1, -(-len(pictures) // COLUMNS))
    columns = max(1, min(COLUMNS, len(pictures)))
    pitch_x, pitch_y = CELL_PX + GAP_PX, CELL_PX + CAPTION_PX + GAP_PX
    sheet = np.full((rows * pitch_y + GAP_PX, columns * pitch_x + GAP_PX, 3), 24, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        _place(sheet, _cell(picture, thresholds), GAP_PX + row * pitch_y, GAP_PX + column * pitch_x)
    return sheet


def outline(picture: Picture, thresholds: Sequence[Threshold], size: tuple[int, int]) -> Image:
    """Draw one picture with its defects at this size (width, height); RGB, uint8 [H, W, 3]."""
    image = picture.pixels if picture.pixels.ndim == 3 else cv2.cvtColor(picture.pixels, cv2.COLOR_GRAY2RGB)
    image = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    found = {defect.class_index for defect in picture.defects}
    for channel in sorted(found):
        level = (picture.masks[channel] >= thresholds[channel].level).astype(np.uint8)
        enlarged = cv2.resize(level, size, interpolation=cv2.INTER_NEAREST_EXACT)
        contours, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, PALETTE[channel % len(PALETTE)], 1, cv2.LINE_AA)
    scale_x, scale_y = size[0] / picture.pixels.shape[1], size[1] / picture.pixels.shape[0]
    for defect in picture.defects:
        x, y, width, height = defect.box
        corners = (int(x * scale_x), int(y * scale_y)), (int((x + width) * scale_x), int((y + height) * scale_y))
        cv2.rectangle(image, *corners, PALETTE[defect.class_index % len(PALETTE)], 1)
    return image


def _cell(picture: Picture, thresholds: Sequence[Threshold]) -> Image:
    height, width = picture.pixels.shape[:2]
    scale = CELL_PX / max(height, width)
    image = outline(picture, thresholds, (max(1, round(width * scale)), max(1, round(height * scale))))
    cell = np.full((CELL_PX + CAPTION_PX, CELL_PX, 3), 24, np.uint8)
    _place(cell, image, (CELL_PX - image.shape[0]) // 2, (CELL_PX - image.shape[1]) // 2)
    _write(cell, picture.caption)
    return cell


def _write(cell: NDArray[np.uint8], text: str) -> None:
    cv2.putText(cell, text, (4, CELL_PX + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)


def _place(target: NDArray[np.uint8], image: Image, top: int, left: int) -> None:
    target[top : top + image.shape[0], left : left + image.shape[1]] = image
