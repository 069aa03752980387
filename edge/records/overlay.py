"""Overlays: outlined defects on a picture, for the page, the stored pictures and the contact sheet."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import Defect, Image, Manifest, Threshold, cropped
from bundle.jpeg import mark_drawing
from bundle.outlines import colour_of, enlarged, outlines_of
from edge.part import View

CELL_PX = 220
"""Longer side of a picture on the contact sheet."""
CAPTION_PX = 22
GAP_PX = 6
COLUMNS = 8
LINE_SHARE = 320
"""Longer side of a picture with lines of one pixel; lines grow in proportion."""
NAMED_PX = 300
"""Longer side from which on defects are named in the picture."""
LETTERS_PX = 900
"""Longer side of a picture with letters of scale 1 (capitals of 22 pixels)."""
PAGE_PX = 800
"""Longer side of a picture on the operator's page."""
OVERLAY_PX = 1600
"""Longer side of a stored overlay, at most: 1.5 pixels of a frame of 2448 in one, where a spot of 3 keeps its contrast.

Drawing and encoding it takes half the time of the frame's full size, and it fills most screens.
"""
SIMPLER_PX = 1.0
"""Largest distance of an outline's corners from the blob's edge, in pixels of the frame."""
JPEG_QUALITY = 82
"""In percent."""


@dataclass(frozen=True)
class JudgedPicture:
    """One frame with its outputs and decision."""

    pixels: Image
    masks: Image
    """uint8 [C, h, w], the engine's output."""
    defects: tuple[Defect, ...]
    caption: str


def draw_sheet(pictures: Sequence[JudgedPicture], thresholds: Sequence[Threshold]) -> Image:
    """Draw a contact sheet as one RGB image, uint8 [H, W, 3].

    Each mask is outlined at its class's level in the class's colour, with the boxes of its defects.
    """
    rows = max(1, -(-len(pictures) // COLUMNS))
    columns = max(1, min(COLUMNS, len(pictures)))
    pitch_x, pitch_y = CELL_PX + GAP_PX, CELL_PX + CAPTION_PX + GAP_PX
    sheet = np.full((rows * pitch_y + GAP_PX, columns * pitch_x + GAP_PX, 3), 24, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        _place(sheet, _cell(picture, thresholds), GAP_PX + row * pitch_y, GAP_PX + column * pitch_x)
    return sheet


def inspected(view: View, manifest: Manifest, longest_px: int | None = None) -> Image | None:
    """Draw the inspected crop of a view's frame with its defects; RGB, None without a frame.

    In the frame's resolution, or with `longest_px` for the longer side, at most.
    """
    if view.frame is None:
        return None
    crop = manifest.input.crop
    left, top = (crop.x, crop.y) if crop else (0, 0)
    moved = tuple(
        replace(found, box=(found.box[0] - left, found.box[1] - top, *found.box[2:])) for found in view.defects
    )
    seen = cropped(view.frame.pixels, crop)
    masks = view.masks if view.masks is not None else np.zeros((len(manifest.classes), 1, 1), np.uint8)
    height, width = seen.shape[:2]
    scale = min(1.0, longest_px / max(height, width)) if longest_px else 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return outline(JudgedPicture(seen, masks, moved, ""), list(manifest.thresholds.values()), size)


def view_jpeg(view: View, manifest: Manifest, longest_px: int = PAGE_PX) -> bytes | None:
    """Encode a view with its outlined defects as JPEG; None without a frame."""
    image = inspected(view, manifest, longest_px)
    if image is None:
        return None
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    if not done:
        raise ValueError(f"camera {view.camera}: the picture of {image.shape} could not be made a JPEG")
    return content.tobytes()


def overlay_jpeg(view: View, manifest: Manifest) -> bytes | None:
    """Encode a view with its outlined defects as a JPEG that `read_image` refuses; None without defects."""
    content = view_jpeg(view, manifest, OVERLAY_PX) if view.masks is not None and view.defects else None
    return None if content is None else mark_drawing(content)


def blobs_of(view: View, manifest: Manifest) -> list[dict[str, object]]:
    """Return class, score and polygon, x and y in pixels of the frame, of each blob that belongs to a defect.

    One dictionary for each: `class_name`, `score`, `polygon`. A defect that was found by its score alone has none.
    """
    if view.frame is None or view.masks is None:
        return []
    crop = manifest.input.crop
    corner = np.array((crop.x, crop.y) if crop else (0, 0), np.int32)
    height, width = cropped(view.frame.pixels, crop).shape[:2]
    strongest = {defect.class_index: defect for defect in reversed(view.defects)}
    found: list[dict[str, object]] = []
    for index, defect in strongest.items():
        level = list(manifest.thresholds.values())[index].level
        for contour in outlines_of(enlarged(view.masks[index] >= level, height, width)):
            corners = cv2.approxPolyDP(contour + corner, SIMPLER_PX, closed=True).reshape(-1, 2)
            boxes = [one.box for one in view.defects if one.class_index == index]
            if len(corners) >= 3 and any(_overlap(box, cv2.boundingRect(corners)) for box in boxes):
                score = round(defect.score, 4)
                found.append({"class_name": defect.class_name, "score": score, "polygon": corners.tolist()})
    return found


def _overlap(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two boxes, x, y, width and height, overlap; a blob that overlaps no defect's is too small to be one."""
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))


def outline(picture: JudgedPicture, thresholds: Sequence[Threshold], size: tuple[int, int]) -> Image:
    """Draw one picture with its defects, resized to (width, height); RGB, uint8 [H, W, 3].

    No line covers a defect: outlines lie around it, boxes around those.
    """
    thick = max(1, max(size) // LINE_SHARE)
    kernel = np.ones((2 * max(1, thick // 2) + 1,) * 2, np.uint8)  # an outline is half as wide as a box
    seen = resized(picture.pixels, size)
    plain = np.asarray(seen if seen.ndim == 3 else cv2.cvtColor(seen, cv2.COLOR_GRAY2RGB), np.uint8)
    image: Image = plain.copy()
    paint = np.empty_like(plain)
    scale_x, scale_y = size[0] / picture.pixels.shape[1], size[1] / picture.pixels.shape[0]
    boxes = [_around(defect, (scale_x, scale_y), size, 2 * thick) for defect in picture.defects]
    if max(size) >= NAMED_PX:
        for defect, box in reversed([*zip(picture.defects, boxes, strict=True)]):  # the strongest last, over the others
            _name(image, defect, (box[0], box[3]))
    for channel in sorted({defect.class_index for defect in picture.defects}):
        mask = enlarged(picture.masks[channel] >= thresholds[channel].level, size[1], size[0]).view(np.uint8)
        around = cv2.dilate(mask, kernel) - mask
        cv2.copyTo(plain, mask, image)  # below a name
        cv2.rectangle(paint, (0, 0), size, colour_of(channel), cv2.FILLED)
        cv2.copyTo(paint, around, image)
    for defect, (left, top, right, bottom) in zip(picture.defects, boxes, strict=True):
        cv2.rectangle(image, (left, top), (right, bottom), colour_of(defect.class_index), thick)
    return image


def resized(pixels: Image, size: tuple[int, int]) -> Image:
    """Resize a picture to (width, height) to look at.

    Linear, in steps of at most a half, so that each pixel counts: the mean over areas takes several times as long.
    """
    while pixels.shape[1] > 2 * size[0] or pixels.shape[0] > 2 * size[1]:
        half = max(size[0], (pixels.shape[1] + 1) // 2), max(size[1], (pixels.shape[0] + 1) // 2)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _around(
    defect: Defect, scale: tuple[float, float], size: tuple[int, int], gap_px: int
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box that lies around a defect's in a picture of another scale.

    At the picture's edge the box of a small defect is open, as a line there would cover it.
    """
    x, y, width, height = defect.box
    left, top = int(x * scale[0]), int(y * scale[1])
    right, bottom = int((x + width) * scale[0]) - 1, int((y + height) * scale[1]) - 1
    around = left - gap_px, top - gap_px, right + gap_px, bottom + gap_px
    if min(right - left, bottom - top) < 4 * gap_px:
        return around
    return max(0, around[0]), max(0, around[1]), min(size[0] - 1, around[2]), min(size[1] - 1, around[3])


def _name(image: Image, defect: Defect, below: tuple[float, float]) -> None:
    """Write class and score of a defect below its box, inside the image; letters without ASCII are left out."""
    plain = unicodedata.normalize("NFKD", defect.class_name).encode("ascii", "ignore").decode().strip()
    text = f"{plain or f'class {defect.class_index}'} {defect.score:.2f}"
    scale = max(image.shape[:2]) / LETTERS_PX
    thick = max(1, round(2 * scale))
    (width, height), under = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    margin = max(2, round(4 * scale))
    left = int(max(0, min(below[0], image.shape[1] - width - 2 * margin)))
    top = int(max(0, min(below[1] + margin, image.shape[0] - height - under - 2 * margin)))
    corner = left + width + 2 * margin, top + height + under + 2 * margin
    colour = colour_of(defect.class_index)
    cv2.rectangle(image, (left, top), corner, colour, cv2.FILLED)
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140  # luma, ITU-R BT.601
    ink = (0, 0, 0) if light else (255, 255, 255)
    start = left + margin, top + margin + height
    cv2.putText(image, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thick, cv2.LINE_AA)


def _cell(picture: JudgedPicture, thresholds: Sequence[Threshold]) -> Image:
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
