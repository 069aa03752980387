"""The five defects of magnetic tiles, drawn onto a surface."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from bundle.surface import Plane, Surface, clouds, fill, stroke, wander


class Defect(NamedTuple):
    """A defect on its surface, float32 [H, W] each: how far it covers a pixel (0..1), and its own reflectance."""

    cover: Plane
    reflectance: Plane


def blowhole(rng: Generator, surface: Surface) -> Defect:
    """Draw a small dark pit with a soft rim, 5 to 20 pixels wide."""
    height, width = surface.shape
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    radius = rng.uniform(3.5, 9.5) * (1 + 0.1 * rng.standard_normal(16))
    flatness, tilt = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    along, across = radius * np.cos(angles), radius * np.sin(angles) * flatness
    x = rng.uniform(0.1, 0.9) * width + along * np.cos(tilt) - across * np.sin(tilt)
    y = rng.uniform(0.1, 0.9) * height + along * np.sin(tilt) + across * np.cos(tilt)
    cover = fill(surface.shape, list(zip(x.tolist(), y.tolist(), strict=True)), soft_px=1.0)
    return Defect(cover, surface.shade * np.float32(rng.uniform(0.25, 0.45)) * (1 + surface.grain))


def chip(rng: Generator, surface: Surface) -> Defect:
    """Draw a piece broken off at an edge: sharp corners, two facets that catch the light differently."""
    turns = int(rng.integers(4))
    length, depth = _turned(surface.shade, turns).shape
    middle, reach = rng.uniform(0.1, 0.9) * length, rng.uniform(14, 45)
    ys = np.sort(rng.uniform(-1, 1, int(rng.integers(5, 9)))) * reach + middle
    xs = rng.uniform(0.35, 1.0, ys.size) * rng.uniform(22, 55)
    corners = list(zip(xs.tolist(), ys.tolist(), strict=True))
    shape = (length, depth)
    cover = fill(shape, [(-2.0, middle - reach), *corners, (-2.0, middle + reach)])
    facet = fill(shape, [(-2.0, middle - reach), *corners[: ys.size // 2 + 1], (-2.0, middle)])
    rough = 1 + 0.12 * clouds(rng, shape, (4, 4))
    dark, light = rng.uniform(0.28, 0.42), rng.uniform(0.5, 0.62)
    look = (dark + (light - dark) * facet) * rough + 0.6 * stroke(shape, corners, 1)
    return Defect(_turned(cover, -turns), surface.shade * _turned(np.asarray(look, np.float32), -turns))


def crack(rng: Generator, surface: Surface) -> Defect:
    """Draw a dark line of 1 to 3 pixels that wanders and branches."""
    trunk = wander(rng, surface.shape, steps=int(rng.integers(10, 22)), step_px=6, turn=0.4)
    cover = stroke(surface.shape, trunk, int(rng.integers(2, 4)))
    for _ in range(rng.integers(1, 4)):
        fork = trunk[int(rng.integers(2, len(trunk) - 2))]
        twig = wander(rng, surface.shape, steps=int(rng.integers(3, 8)), step_px=5, turn=0.4)
        moved = [(x - twig[0][0] + fork[0], y - twig[0][1] + fork[1]) for x, y in twig]
        cover = np.maximum(cover, stroke(surface.shape, moved, int(rng.integers(1, 3))))
    return Defect(cover, surface.shade * np.float32(rng.uniform(0.25, 0.42)) * (1 + surface.grain))


def fray(rng: Generator, surface: Surface) -> Defect:
    """Draw a patch along an edge where the ground skin is torn off: blotchy, flecked, with a ragged outline."""
    turns = int(rng.integers(4))
    length, depth = shape = _turned(surface.shade, turns).shape
    rows, columns = np.arange(length, dtype=np.float32)[:, None], np.arange(depth, dtype=np.float32)[None]
    reach = rng.uniform(0.15, 0.3) * length
    bulge = np.sqrt(np.clip(1 - ((rows - rng.uniform(0.25, 0.75) * length) / reach) ** 2, 0, 1))
    ragged = 1 + 0.12 * clouds(rng, (length, 1), (14, 1)) + 0.06 * clouds(rng, (length, 1), (3, 1))
    cover = np.clip(bulge * ragged * rng.uniform(30, 75) - columns, 0, 1)
    flecks = np.clip(clouds(rng, shape, (5, 2)) - 1.3, 0, 0.8)
    rough = 1 + 0.13 * clouds(rng, shape, (9, 9)) + 0.07 * clouds(rng, shape, (2, 2)) + 0.8 * flecks
    look = np.asarray(rng.uniform(0.5, 0.65) * rough, np.float32)
    return Defect(_turned(np.asarray(cover, np.float32), -turns), surface.shade * _turned(look, -turns))


def uneven(rng: Generator, surface: Surface) -> Defect:
    """Draw a wide band that the wheel ground otherwise: brighter or darker, coarser, with an ill-defined edge."""
    height, width = surface.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    band = rng.uniform(0.2, 0.4) * height
    start = rng.choice([-0.5 * band, rng.uniform(0.1, 0.5) * height, height - band])
    wave = 4 * clouds(rng, (1, width), (1, 40)) + np.linspace(-1, 1, width) * rng.uniform(-12, 12)
    inside = np.minimum(rows - (start + wave), start + wave + (1.5 * band if start < 0 else band) - rows)
    cover = np.asarray(np.clip(inside / rng.uniform(4, 12) + 0.5, 0, 1), np.float32)
    factor = rng.uniform(1.25, 1.45) if rng.random() < 0.6 else rng.uniform(0.6, 0.75)
    return Defect(cover, np.asarray(surface.shade * factor * (1 + 1.7 * surface.grain), np.float32))


DEFECTS: MappingProxyType[str, Callable[[Generator, Surface], Defect]] = MappingProxyType(
    {"Blowhole": blowhole, "Break": chip, "Crack": crack, "Fray": fray, "Uneven": uneven}
)


def _turned(plane: Plane, quarters: int) -> Plane:
    """Turn a plane so that another of its edges comes to lie at the left; minus `quarters` turns it back."""
    return np.ascontiguousarray(np.rot90(plane, quarters))
