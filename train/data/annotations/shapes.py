"""Annotated shapes as masks, held against the size of their picture."""

import base64
import binascii
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import FrameError, decode_stored
from train.data.dataset import Masks
from train.errors import DataError

Points = NDArray[np.float64]
"""[N, 2] as x, y in pixels."""

Boxes = Literal["refuse", "fill", "label"]
"""Treatment of a box without an outline: refuse it, fill it as a defect, or take its class without an outline."""

MARGIN = 0.05
"""Largest distance of a point outside the picture, as a share of the picture's side (and 2 pixels): tools let the mouse
slip over the edge; farther out the annotation belongs to another picture."""


def polygon(points: object, height: int, width: int, where: str) -> Masks:
    """The mask of an outline, bool [height, width].

    points: x, y in turn or in pairs. Raises DataError for fewer than three, or for one outside of the picture.
    """
    corners = corners_of(points, where)
    if len(corners) < 3:
        raise _error(where, f"an outline of {len(corners)} points", "at least 3")
    return _filled(corners, height, width, where)


def rectangle(points: object, height: int, width: int, where: str) -> Masks:
    """The mask of an upright rectangle, by two opposite corners or by all four."""
    corners = corners_of(points, where)
    if len(corners) == 2:
        (x0, y0), (x1, y1) = corners
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    if len(corners) != 4:
        raise _error(where, f"a rectangle of {len(corners)} points", "2 opposite corners or all 4")
    return _filled(corners, height, width, where)


def box(points: object, boxes: Boxes, height: int, width: int, where: str) -> Masks | None:
    """Mask of a box by its corners, or None for a class without an outline; see `Boxes`."""
    mask = rectangle(points, height, width, where)
    if boxes == "refuse":
        raise DataError(
            f"{where}: found a box without an outline, expected a polygon or mask; draw the outline, or say what a box "
            "is: --boxes fill (the defect is the whole box) or --boxes label (the class is there, without an outline)"
        )
    return mask if boxes == "fill" else None


def ellipse(centre: object, radii: object, degrees: float, height: int, width: int, where: str) -> Masks:
    """The mask of an ellipse, turned clockwise by `degrees`; centre and radii as x, y in pixels."""
    (middle,), (radius,) = corners_of(centre, where), corners_of(radii, where)
    _check_inside(middle[np.newaxis], height, width, where)
    if not (radius.min() >= 0 and radius.max() <= height + width):
        raise _error(where, f"an ellipse of radii {radius[0]:.6g}, {radius[1]:.6g}", "it within the picture")
    x, y = np.rint(middle).astype(int).tolist()
    axes = np.rint(radius).astype(int).tolist()

    def draw(mask: NDArray[np.uint8], aside: int) -> None:
        cv2.ellipse(mask, (x + aside, y + aside), axes, degrees % 360, 0, 360, 1, thickness=-1)

    return _not_empty(_drawn(height, width, draw), where)


def box_corners(
    point: object, sides: object, degrees: float, where: str, about: Literal["middle", "corner"] = "middle"
) -> Points:
    """The four corners of a box of width and height `sides`, turned clockwise by `degrees` about a `point` of it.

    about: whether the point is the box's middle or its upper left corner.
    """
    (start,), ((width, height),) = corners_of(point, where), corners_of(sides, where)
    if not (width > 0 and height > 0 and math.isfinite(degrees)):
        raise _error(where, f"a box of {width:.6g} x {height:.6g} pixels", "a width and a height above 0")
    cos, sin = math.cos(math.radians(degrees % 360)), math.sin(math.radians(degrees % 360))
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - (0.5 if about == "middle" else 0.0)
    return np.asarray(start + unit * [width, height] @ np.array([[cos, sin], [-sin, cos]]))


def circle(points: object, height: int, width: int, where: str) -> Masks:
    """The mask of a circle, by its centre and a point of its rim."""
    corners = corners_of(points, where)
    if len(corners) != 2:
        raise _error(where, f"a circle of {len(corners)} points", "centre and rim")
    centre, rim = corners
    _check_inside(corners[:1], height, width, where)
    radius = float(np.hypot(*(rim - centre)))
    if radius > height + width:
        raise _error(where, f"a circle of radius {radius:.0f}", f"it within the picture of {width}x{height}")
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (round(centre[0]), round(centre[1])), round(radius), 1, thickness=-1)
    return _not_empty(mask, where)


def run_lengths(counts: Sequence[Any], height: int, width: int, where: str) -> Masks:
    """The mask of runs that are in turn outside and inside, down the columns (COCO)."""
    if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts):
        raise _error(where, "run lengths that are no whole numbers from 0 on", "them")
    if sum(counts) != height * width:
        raise _error(where, f"run lengths over {sum(counts)} pixels", f"{height * width}")
    inside = np.arange(len(counts)) % 2 == 1
    return _not_empty(np.repeat(inside, counts).reshape(width, height).T, where)


def box_run_lengths(
    counts: Sequence[int], corner: tuple[int, int], sides: tuple[int, int], height: int, width: int, where: str
) -> Masks:
    """The mask of runs that are in turn outside and inside, along the rows of a box (CVAT).

    corner: x, y of its upper left pixel. sides: its width and height.
    """
    (x, y), (across, down) = corner, sides
    if min(x, y) < 0 or min(across, down) < 1 or x + across > width or y + down > height:
        raise _error(where, f"a mask of {across}x{down} at {x}, {y}", f"it within the picture of {width}x{height}")
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + down, x : x + across] = run_lengths(counts, across, down, where).T
    return mask


def uncompressed(text: str, where: str) -> list[int]:
    """COCO's compressed run lengths: five bits a character, differences from the fourth on (pycocotools, maskApi.c)."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise _error(where, f"compressed run lengths with {character!r}", "characters from '0' to 'o'")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (bits & 0x10) << (shift - 4)  # sign
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise _error(where, "compressed run lengths that are cut off", "their end")
    return counts


def stored_mask(text: str, points: object, height: int, width: int, where: str) -> Masks:
    """The mask of a PNG in base64 that lies in the box of two corners, the second one inside (LabelMe's "mask")."""
    corners = corners_of(points, where)
    if len(corners) != 2:
        raise _error(where, f"a mask between {len(corners)} corners", "2")
    _check_inside(corners, height, width, where)
    try:
        inner = decode_stored(base64.b64decode(text, validate=True), where).pixels
    except (FrameError, binascii.Error, ValueError) as error:
        raise DataError(f"{where}: found a mask that cannot be read ({error}); draw it again") from None
    (x, y), (right, bottom) = np.rint(corners).astype(int)
    if inner.ndim != 2 or inner.shape != (bottom - y + 1, right - x + 1) or min(x, y) < 0:
        raise _error(where, f"a mask of {inner.shape}", f"one of the box's {right - x + 1}x{bottom - y + 1} pixels")
    if bottom >= height or right >= width:
        raise _error(where, f"a mask up to {right}, {bottom}", f"it within the picture of {width}x{height}")
    mask = np.zeros((height, width), np.bool_)
    mask[y : bottom + 1, x : right + 1] = inner > 0
    return _not_empty(mask, where)


def corners_of(points: object, where: str) -> Points:
    """Coordinates as [N, 2]. Raises DataError unless they are pairs of finite numbers."""
    try:
        flat = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _error(where, "points that are no numbers", "x and y of each") from None
    if flat.size % 2 or flat.ndim > 2 or (flat.ndim == 2 and flat.shape[1] != 2 and flat.size):
        raise _error(where, f"points of shape {flat.shape}", "x and y of each")
    if not np.isfinite(flat).all():
        raise _error(where, "points that are not finite", "x and y of each")
    return flat.reshape(-1, 2)


def _check_inside(corners: Points, height: int, width: int, where: str) -> None:
    for x, y in corners:
        right, down = max(2.0, MARGIN * width), max(2.0, MARGIN * height)
        if not (-right <= x <= width + right and -down <= y <= height + down):
            raise _error(where, f"a point at {x:.6g}, {y:.6g}", f"it within the picture of {width}x{height}")


def _filled(corners: Points, height: int, width: int, where: str) -> Masks:
    _check_inside(corners, height, width, where)
    rounded = np.rint(corners).astype(np.int32)
    return _not_empty(_drawn(height, width, lambda mask, aside: cv2.fillPoly(mask, [rounded + aside], 1)), where)


def _drawn(height: int, width: int, draw: Callable[[NDArray[np.uint8], int], object]) -> NDArray[np.uint8]:
    """A mask that is drawn, shifted right and down, on more than the picture.

    OpenCV moves an edge that it cuts at the border, by up to two pixels.
    """
    aside = math.ceil(max(2.0, MARGIN * max(height, width))) + 1
    whole = np.zeros((height + 2 * aside, width + 2 * aside), np.uint8)
    draw(whole, aside)
    return whole[aside : aside + height, aside : aside + width]


def _not_empty(mask: NDArray[Any], where: str) -> Masks:
    if not mask.any():
        raise _error(where, "an outline without a pixel in the picture", "at least one; draw it again or remove it")
    return mask.astype(np.bool_)


def _error(where: str, found: str, expected: str) -> DataError:
    return DataError(f"{where}: found {found}, expected {expected}; correct the annotation")
