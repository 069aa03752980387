"""Synthetic defects drawn onto images of good parts, for classes with few real ones.

An artist draws a reflectance relative to a surface; here the surface is the photograph of a good part. Sizes are
those of Magnetic Tile, whose parts are about 400 pixels high, scaled with the image.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from synthetic.artists import ARTISTS, Artist
from synthetic.surfaces import Plane, Surface
from train.augment.photometric import as_bytes
from train.data.dataset import Image, Masks
from train.errors import RecipeError
from train.recipe import Recipe

_HEIGHT_PX = 400
"""Image height at which the artist draws."""
_OPACITY = (0.4, 1.0)
_SHADE_PX = (4, 20)
"""Blur across and along the grinding marks; finer structure is grain."""
_DARK = 0.45
"""Share of the median brightness below which a pixel is background."""
_GRAIN = 0.6
"""Largest relative brightness of the grain under a defect."""


def check_drawable(recipe: Recipe, classes: Sequence[str]) -> None:
    """Raise RecipeError if the recipe wants drawn defects and no class has an artist."""
    if recipe.crops.drawn and not set(classes) & set(ARTISTS):
        raise RecipeError(
            f"recipe {recipe.name}: crops.drawn: found the classes {', '.join(classes)}, expected one of those that "
            f"can be drawn, {', '.join(ARTISTS)}; switch it off with --set crops.drawn=0"
        )


def draw_defect(image: Image, artists: Sequence[Artist], generator: Generator) -> Masks:
    """Draw a random artist's defect into `image`, uint8 [channels, H, W], in place; returns the mask, bool [H, W]."""
    grey: Plane = image.mean(axis=0, dtype=np.float32) + 1  # never 0
    height, width = grey.shape
    large = _resized(grey, (_HEIGHT_PX, round(width * _HEIGHT_PX / height)))
    surface = _surface(large)
    defect = artists[int(generator.integers(len(artists)))](generator, surface)
    cover = defect.cover * surface.part
    change = generator.uniform(*_OPACITY) * cover * (defect.reflectance / large - 1)
    image[:] = as_bytes(image * (1 + _resized(change, grey.shape)))
    where: Masks = _resized(cover, grey.shape) >= 0.5
    return where


def _resized(plane: Plane, shape: tuple[int, ...]) -> Plane:
    if plane.shape == shape:
        return plane
    how = cv2.INTER_AREA if shape[0] < plane.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=how), dtype=np.float32)


def _surface(grey: Plane) -> Surface:
    """Estimate shade, grain and part mask from a photograph of a good part, in grey levels."""
    shade = np.asarray(cv2.GaussianBlur(grey, (0, 0), sigmaX=_SHADE_PX[0], sigmaY=_SHADE_PX[1]), dtype=np.float32)
    lit = (shade > _DARK * np.median(shade)).astype(np.float32)
    part = np.asarray(cv2.GaussianBlur(lit, (0, 0), 1), dtype=np.float32)
    return Surface(shade=shade, grain=np.clip(grey / shade - 1, -_GRAIN, _GRAIN), part=part)
