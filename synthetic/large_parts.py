"""Drawn images of large ground parts with small defects, for a camera of many pixels, with the truth.

Scratches are six pixels wide and pits about fifteen across, whatever the picture's size. A picture depends on its
arguments alone, like a tile's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from synthetic.defects import DrawnDefect, blowhole
from synthetic.surfaces import Plane, Surface, draw_surface, stroke, wander
from synthetic.tiles import expose

CLASSES = ("Pit", "Scratch")
SCRATCH_PX = 6

_LARGE = 7  # distinguishes the random streams from those of the tiles
_CAMERA = 1000
_MARGIN_PX = 160
"""A defect is drawn in a window of the surface this far around its place."""


@dataclass(frozen=True)
class LargePart:
    """A drawn part.

    `image` is grey uint8 [H, W]; `masks` is the truth, uint8 [2, H, W] in the order of `CLASSES`, 255 on a defect.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def draw_large_part(seed: int, index: int, shape: tuple[int, int], defects: int = 0) -> LargePart:
    """Draw part number `index` of this height and width with this number of defects, pits and scratches in turn."""
    surface = draw_surface(_stream(seed, index, 0), shape)
    reflectance = surface.reflectance
    masks = np.zeros((len(CLASSES), *shape), np.uint8)
    for number in range(defects):
        rng = _stream(seed, index, 1 + number)
        window = _window(rng, shape)
        part = Surface(surface.shade[window], surface.grain[window], surface.part[window])
        channel = number % len(CLASSES)
        drawn = (blowhole, scratch)[channel](rng, part)
        cover = drawn.cover * part.part
        reflectance[window] += cover * (drawn.reflectance - reflectance[window])
        masks[channel][window] |= np.where(cover >= 0.5, 255, 0).astype(np.uint8)
    return LargePart(expose(_stream(seed, index, _CAMERA), reflectance), masks)


def scratch(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a gouge of six pixels width, 60 to 220 long, nearly straight, dark with a bright rim."""
    steps = int(rng.integers(5, 18))
    path = wander(rng, surface.shape, steps, step_px=12, turn=0.04)
    cover = stroke(surface.shape, [path], SCRATCH_PX, soft_px=0.5)
    rim: Plane = stroke(surface.shape, [[(x + 2, y) for x, y in path]], 2)
    depth = np.float32(rng.uniform(0.3, 0.55))
    return DrawnDefect(cover, surface.shade * (depth + np.float32(0.5) * rim) * (1 + surface.grain))


def _window(rng: Generator, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Window around a random place, as far as the picture reaches."""
    centre = [int(rng.integers(side)) for side in shape]
    rows, columns = (
        slice(max(0, middle - _MARGIN_PX), min(side, middle + _MARGIN_PX))
        for middle, side in zip(centre, shape, strict=True)
    )
    return rows, columns


def _stream(*key: int) -> Generator:
    return Generator(PCG64(SeedSequence((_LARGE, *key))))
