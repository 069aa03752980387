"""Step 4 of the guided crops: warp a blob, choose its position, blend it into the base image."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator

from train.augment.blobs import RING_PX, Blob, padded_mask, ring_mean, with_margin
from train.augment.photometric import as_bytes, jittered
from train.augment.warp import warped
from train.data.dataset import Image, Masks
from train.recipe import CropsRecipe

TRIES = 8
"""Candidate positions compared with `match_texture`."""

FEATHER_PX = 2
"""Width of the feathered seam. It lies outside the blob, since inside it would blur a crack two pixels wide."""

_RIM_PX = 4
"""Width of the rim that is cloned with a blob. seamlessClone erodes its mask by three pixels; without a remaining rim,
the edge on one side of the defect and half of its contrast are lost."""


def paste(image: Image, blob: Blob, recipe: CropsRecipe, generator: Generator) -> Masks:
    """Paste a blob into `image`, uint8 [channels, H, W], in place; returns its mask, bool [H, W]."""
    blob = warped(blob, recipe, (image.shape[1], image.shape[2]), generator)
    top, left = _place(image, blob, recipe, generator)
    blob = _matched(image, blob, top, left, recipe, generator)
    height, width = blob.mask.shape
    window = image[:, top : top + height, left : left + width]
    if recipe.blend == "poisson":
        _clone(image, blob, top, left)
    elif recipe.blend == "feather":
        _feather(image, blob, top, left)
    else:
        window[:] = np.where(blob.mask, blob.pixels, window)
    where = np.zeros(image.shape[1:], dtype=np.bool_)
    where[top : top + height, left : left + width] = blob.mask
    return where


def _place(image: Image, blob: Blob, recipe: CropsRecipe, generator: Generator) -> tuple[int, int]:
    """A random position; with `match_texture` the best of several by the brightness of the surroundings."""
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


def _matched(image: Image, blob: Blob, top: int, left: int, recipe: CropsRecipe, generator: Generator) -> Blob:
    """The blob with jitter; with `match_brightness` scaled to the brightness around its position."""
    context = jittered(blob.context, recipe.blob_brightness, recipe.blob_contrast, generator)
    if recipe.match_brightness:
        context = as_bytes(context * ((ring_mean(image, blob.mask, top, left) + 1) / (blob.surroundings + 1)))
    return replace(blob, context=context)


def _feather(image: Image, blob: Blob, top: int, left: int) -> None:
    """Alpha-blend the blob into the base, with a rim of its surroundings."""
    away = cv2.distanceTransform(1 - padded_mask(blob.mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    opacity = np.clip(1 - away / (FEATHER_PX + 1), 0, 1)
    rows, columns = blob.context.shape[1:]
    y0, x0 = max(0, RING_PX - top), max(0, RING_PX - left)  # of the blob with its margin, where the image begins
    y, x = top - RING_PX + y0, left - RING_PX + x0
    window = image[:, y : top - RING_PX + rows, x : left - RING_PX + columns]
    inside = slice(y0, y0 + window.shape[1]), slice(x0, x0 + window.shape[2])
    share = opacity[inside]
    window[:] = as_bytes(share * blob.context[:, inside[0], inside[1]] + (1 - share) * window)


def _clone(image: Image, blob: Blob, top: int, left: int) -> None:
    """Blend the blob by Poisson image editing (Perez, Gangnet, Blake, 2003).

    A rim of the surroundings is cloned as well, since the edge between them and the defect carries its contrast.
    """
    wide = with_margin(image)
    rows, columns = blob.context.shape[1:]
    window = wide[:, top : top + rows, left : left + columns]
    rim = cv2.dilate(padded_mask(blob.mask), np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) * 255
    ys, xs = np.flatnonzero(rim.any(axis=1)), np.flatnonzero(rim.any(axis=0))
    centre = int(xs[0] + xs[-1] + 1) // 2, int(ys[0] + ys[-1] + 1) // 2
    blended = cv2.seamlessClone(_in_colour(blob.context), _in_colour(window), rim, centre, cv2.NORMAL_CLONE)
    window[:] = blended.transpose(2, 0, 1)[: len(window)]
    image[:] = wide[:, RING_PX:-RING_PX, RING_PX:-RING_PX]


def _in_colour(image: Image) -> Image:
    """[channels, h, w] as [h, w, 3], as seamlessClone expects."""
    return np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))
