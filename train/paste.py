"""Step 4 of the guided crops: change a blob, find it a place, put it into the base."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from train.blobs import Blob, ring_mean
from train.jitter import as_bytes, jittered
from train.recipe import CropsRecipe
from train.samples import Image, Masks

TRIES = 8
"""Places compared where the base's texture decides."""

FEATHER_PX = 2
"""Half-width of a feathered seam, inside the blob, so that the mask stays true."""


def paste(image: Image, blob: Blob, recipe: CropsRecipe, generator: Generator) -> Masks:
    """Paste a blob into `image`, uint8 [channels, H, W], in place; returns where, bool [H, W]."""
    blob = _turned(blob, recipe.rotate_degrees, image.shape[1:], generator)
    top, left = _place(image, blob, recipe, generator)
    pixels = _changed(image, blob, top, left, recipe, generator)
    height, width = blob.mask.shape
    window = image[:, top : top + height, left : left + width]
    window[:] = (
        _poisson(window, pixels, blob.mask) if recipe.blend == "poisson" else _laid(window, pixels, blob, recipe)
    )
    where = np.zeros(image.shape[1:], dtype=np.bool_)
    where[top : top + height, left : left + width] = blob.mask
    return where


def _turned(blob: Blob, most: float, room: tuple[int, ...], generator: Generator) -> Blob:
    """Turn a blob by up to `most` degrees; one that would not fit into the room, or touches an edge, stays."""
    if not most or any(blob.edges):
        return blob
    height, width = blob.mask.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), generator.uniform(-most, most), 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = int(width * cosine + height * sine) + 1, int(width * sine + height * cosine) + 1
    if size[1] > room[0] or size[0] > room[1]:
        return blob
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    mask = cv2.warpAffine(blob.mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    planes = [cv2.warpAffine(plane, matrix, size, borderMode=cv2.BORDER_REPLICATE) for plane in blob.pixels]
    return replace(blob, mask=mask, pixels=np.stack(planes).astype(np.uint8)) if mask.any() else blob


def _place(image: Image, blob: Blob, recipe: CropsRecipe, generator: Generator) -> tuple[int, int]:
    """A random place; of several, the one whose surroundings are most like the blob's own, if texture decides."""
    tries = TRIES if recipe.match_texture else 1
    places = [_random_place(image, blob, recipe, generator) for _ in range(tries)]
    if tries == 1:
        return places[0]
    return min(places, key=lambda place: abs(ring_mean(image, blob.mask, *place) - blob.surroundings))


def _random_place(image: Image, blob: Blob, recipe: CropsRecipe, generator: Generator) -> tuple[int, int]:
    spare = [room - size for room, size in zip(image.shape[1:], blob.mask.shape, strict=True)]
    top, left = (int(generator.integers(most + 1)) for most in spare)
    if recipe.keep_edges:
        at_top, at_bottom, at_left, at_right = blob.edges
        top = 0 if at_top else spare[0] if at_bottom else top
        left = 0 if at_left else spare[1] if at_right else left
    return top, left


def _changed(
    image: Image, blob: Blob, top: int, left: int, recipe: CropsRecipe, generator: Generator
) -> NDArray[np.uint8]:
    """The blob's pixels, jittered, and brightened or darkened as the base is around its place."""
    pixels = jittered(blob.pixels, recipe.blob_brightness, recipe.blob_contrast, generator)
    if not recipe.match_brightness:
        return pixels
    factor = (ring_mean(image, blob.mask, top, left) + 1) / (blob.surroundings + 1)
    return as_bytes(pixels * factor)


def _cut(window: Image, pixels: Image, mask: Masks) -> Image:
    return np.where(mask, pixels, window)


def _feathered(window: Image, pixels: Image, mask: Masks) -> Image:
    """The blob over the base, its outermost pixels mixed with it."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    opacity = np.clip(depth / (FEATHER_PX + 1), 0, 1)
    return as_bytes(opacity * pixels + (1 - opacity) * window)


def _poisson(window: Image, pixels: Image, mask: Masks) -> Image:
    """The blob's gradients in the base's light (Perez, Gangnet, Blake: Poisson image editing, 2003)."""
    height, width = mask.shape
    margin = 2  # seamlessClone looks one pixel beyond the mask
    target, source = (np.pad(part, ((0, 0), (margin,) * 2, (margin,) * 2), mode="edge") for part in (window, pixels))
    colour = [
        np.ascontiguousarray(np.broadcast_to(part, (3, *part.shape[1:])).transpose(1, 2, 0))
        for part in (source, target)
    ]
    inside = np.pad(mask, margin).astype(np.uint8) * 255
    ys, xs = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    centre = int(xs[0] + xs[-1] + 1) // 2, int(ys[0] + ys[-1] + 1) // 2
    blended = cv2.seamlessClone(source, target, inside, centre, cv2.NORMAL_CLONE).transpose(2, 0, 1)
    return np.where(mask, blended[: len(window), margin : margin + height, margin : margin + width], window)


def _in_colour(image: Image, margin: int) -> Image:
    """[channels, h, w] as [h, w, 3] with a margin of repeated edge pixels, as seamlessClone wants it."""
    padded = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    return np.ascontiguousarray(np.broadcast_to(padded, (3, *padded.shape[1:])).transpose(1, 2, 0))
