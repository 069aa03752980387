"""Geometric augmentation of a blob before pasting: rotation, scale, elastic deformation in one resampling."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from train.augment.blobs import RING_PX, Blob, padded_mask
from train.data.dataset import Image
from train.recipe import CropsRecipe

_SMOOTH_PX = (10, 40)
"""Range of the spacing of the elastic deformation's control points."""

Map = NDArray[np.float32]
"""[2, h, w]: the column and the row of the blob's context that each pixel of the new one is read from."""


def warped(blob: Blob, recipe: CropsRecipe, room: tuple[int, int], generator: Generator) -> Blob:
    """The blob warped, for an image of `room` rows and columns.

    Blobs that touch an edge of their image are not rotated. Returns the blob unchanged if the result would not fit or
    would be empty.
    """
    most = 0.0 if any(blob.edges) else recipe.rotate_degrees
    if not (most or recipe.blob_scale or recipe.elastic):
        return blob
    angle = np.radians(generator.uniform(-most, most))
    size = (1 + recipe.blob_scale) ** generator.uniform(-1, 1)
    smooth_px = generator.uniform(*_SMOOTH_PX)
    bend_px = recipe.elastic * smooth_px
    read = _turned(blob, angle, size, spare_px=int(np.ceil(bend_px)))
    read += _bend(read.shape[1:], smooth_px, bend_px, generator) / size
    _keep_inside(read, blob)
    mask = _resampled(padded_mask(blob.mask), read, cv2.INTER_NEAREST)[RING_PX:-RING_PX, RING_PX:-RING_PX] > 0
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows) or rows[-1] - rows[0] >= room[0] or columns[-1] - columns[0] >= room[1]:
        return blob
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    read = read[:, top : bottom + 2 * RING_PX, left : right + 2 * RING_PX]
    context = np.stack([_resampled(plane, read, cv2.INTER_LINEAR) for plane in blob.context])
    return replace(blob, mask=mask[top:bottom, left:right], context=context)


def _resampled(plane: Image, read: Map, interpolation: int) -> Image:
    found = cv2.remap(plane, read[0], read[1], interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, dtype=np.uint8)


def _turned(blob: Blob, angle: float, size: float, spare_px: int) -> Map:
    """Sampling map of a blob's box, rotated about its centre and scaled, padded on sides that touch no edge."""
    cosine, sine = np.cos(angle), np.sin(angle)
    height, width = blob.mask.shape
    across, down = (size * length for length in (
        width * abs(cosine) + height * abs(sine), width * abs(sine) + height * abs(cosine)
    ))  # fmt: skip
    top, bottom, left, right = (RING_PX + (0 if touched else spare_px) for touched in blob.edges)
    y = (np.arange(-top, np.ceil(down) + bottom) + 0.5 - down / 2)[:, np.newaxis] / size
    x = (np.arange(-left, np.ceil(across) + right) + 0.5 - across / 2)[np.newaxis] / size
    columns = cosine * x - sine * y + width / 2 - 0.5 + RING_PX
    rows = sine * x + cosine * y + height / 2 - 0.5 + RING_PX
    return np.stack((columns, rows)).astype(np.float32)


def _keep_inside(read: Map, blob: Blob) -> None:
    """Clamp the map at image edges that the blob touches, so that it still touches them."""
    height, width = blob.mask.shape
    at_top, at_bottom, at_left, at_right = blob.edges
    for axis, length, first, last in ((0, width, at_left, at_right), (1, height, at_top, at_bottom)):
        least, most = RING_PX if first else -np.inf, RING_PX + length - 1 if last else np.inf
        np.clip(read[axis], least, most, out=read[axis])


def _bend(shape: tuple[int, ...], smooth_px: float, most_px: float, generator: Generator) -> Map:
    """Displacement field, bicubic between random control points of up to `most_px`, every `smooth_px` pixels."""
    height, width = shape
    points = [int(length / smooth_px) + 2 for length in shape]
    drawn = generator.uniform(-most_px, most_px, (*points, 2)).astype(np.float32)
    smooth = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
    bend: Map = np.asarray(smooth, dtype=np.float32).transpose(2, 0, 1)
    return bend
