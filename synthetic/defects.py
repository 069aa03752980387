"""The five defects of magnetic tiles, drawn onto a surface."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from synthetic.surfaces import Path, Plane, Surface, clouds, fill, stroke, wander


class DrawnDefect(NamedTuple):
    """A defect on its surface, float32 [H, W] each: coverage of a pixel (0..1), and reflectance."""

    cover: Plane
    reflectance: Plane


def blowhole(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a small dark pit with a soft rim, 6 to 20 pixels wide."""
    height, width = surface.shape
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    radius = rng.uniform(4.5, 10) * (1 + 0.1 * rng.standard_normal(16))
    flatness, tilt = rng.uniform(0.65, 1.0), rng.uniform(0, np.pi)
    along, across = radius * np.cos(angles), radius * np.sin(angles) * flatness
    x = rng.uniform(0.1, 0.9) * width + along * np.cos(tilt) - across * np.sin(tilt)
    y = rng.uniform(0.1, 0.9) * height + along * np.sin(tilt) + across * np.cos(tilt)
    cover = fill(surface.shape, list(zip(x.tolist(), y.tolist(), strict=True)), soft_px=1.0)
    return DrawnDefect(cover, surface.shade * np.float32(rng.uniform(0.25, 0.45)) * (1 + surface.grain))


def chip(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a piece broken off at an edge: sharp corners, two facets that catch the light differently."""
    turns = int(rng.integers(4))
    length, _ = shape = _turned(surface.shade, turns).shape
    middle, reach = rng.uniform(0.1, 0.9) * length, rng.uniform(14, 45)
    steps = np.linspace(-1, 1, int(rng.integers(6, 10))) + rng.uniform(-0.1, 0.1)
    ys = middle + reach * steps
    xs = rng.uniform(20, 50) * np.sqrt(np.clip(1.2 - steps**2, 0.1, 1)) * rng.uniform(0.65, 1.0, steps.size)
    corners = list(zip(xs.tolist(), ys.tolist(), strict=True))
    foot = [(-2.0, float(ys[-1])), (-2.0, float(ys[0]))]
    ridge = int(rng.integers(2, steps.size - 2))
    facet = fill(shape, [*corners[: ridge + 1], (-2.0, float(ys[ridge - 1])), foot[1]])
    rough = 1 + 0.15 * clouds(rng, shape, (5, 5))
    dark, light = rng.uniform(0.25, 0.42), rng.uniform(0.5, 0.65)
    look = (dark + (light - dark) * facet) * rough + 0.5 * stroke(shape, [corners], 1)
    cover = fill(shape, [*corners, *foot])
    return DrawnDefect(_turned(cover, -turns), surface.shade * _turned(np.asarray(look, np.float32), -turns))


def crack(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a dark jagged line of 1 to 3 pixels that branches and thins out."""
    shape, steps = surface.shape, int(rng.integers(14, 28))
    trunk = _jagged(rng, wander(rng, shape, steps, step_px=6, turn=0.15))
    twigs = []
    for _ in range(rng.integers(1, 4)):
        (x0, y0), *path = wander(rng, shape, steps=int(rng.integers(3, 9)), step_px=5, turn=0.2)
        fork_x, fork_y = fork = trunk[int(rng.integers(2, steps - 2))]
        twigs.append([fork, *_jagged(rng, [(x - x0 + fork_x, y - y0 + fork_y) for x, y in path])])
    thick = trunk[: int(rng.integers(steps // 3, steps))]
    cover = np.maximum(stroke(shape, [trunk, *twigs], 1), stroke(shape, [thick], 2))
    return DrawnDefect(cover, surface.shade * np.float32(rng.uniform(0.2, 0.38)) * (1 + surface.grain))


def fray(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a patch along an edge where the ground skin is torn off: blotchy, flecked, with a ragged outline."""
    turns = int(rng.integers(4))
    length, depth = shape = _turned(surface.shade, turns).shape
    rows, columns = np.arange(length, dtype=np.float32)[:, None], np.arange(depth, dtype=np.float32)[None]
    reach = rng.uniform(0.18, 0.36) * length
    bulge = np.sqrt(np.clip(1 - ((rows - rng.uniform(0.25, 0.75) * length) / reach) ** 2, 0, 1))
    ragged = 1 + sum(part * clouds(rng, (length, 1), (cell, 1)) for part, cell in ((0.25, 40), (0.12, 10), (0.07, 3)))
    cover = np.clip(bulge * np.maximum(ragged, 0.4) * rng.uniform(28, 65) - columns, 0, 1)
    flecks = np.clip(clouds(rng, shape, (6, 3)) + 0.5 * clouds(rng, shape, (30, 20)) - 1.2, 0, 0.9)
    rough = 1 + 0.16 * clouds(rng, shape, (12, 9)) + 0.1 * clouds(rng, shape, (2, 2)) + flecks
    look = np.asarray(rng.uniform(0.48, 0.64) * rough, np.float32)
    return DrawnDefect(_turned(np.asarray(cover, np.float32), -turns), surface.shade * _turned(look, -turns))


def uneven(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a wide band with other grinding marks: brighter or darker, coarser, with a soft edge."""
    height, width = surface.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    band = rng.uniform(0.2, 0.4) * height
    middle = rng.uniform(0.1, 0.5) * height
    places = ((-height, band), (middle, middle + band), (height - band, 2 * height))
    first, last = places[int(rng.integers(len(places)))]
    wave = 4 * clouds(rng, (1, width), (1, 40)) + np.linspace(-1, 1, width) * rng.uniform(-12, 12)
    inside = np.minimum(rows - first - wave, last + wave - rows)
    cover = np.asarray(np.clip(inside / rng.uniform(4, 12) + 0.5, 0, 1), np.float32)
    factor = rng.uniform(1.25, 1.45) if rng.random() < 0.6 else rng.uniform(0.6, 0.75)
    return DrawnDefect(cover, np.asarray(surface.shade * factor * (1 + 1.7 * surface.grain), np.float32))


DEFECTS: MappingProxyType[str, Callable[[Generator, Surface], DrawnDefect]] = MappingProxyType(
    {"Blowhole": blowhole, "Break": chip, "Crack": crack, "Fray": fray, "Uneven": uneven}
)


def _jagged(rng: Generator, path: Path) -> Path:
    moved = np.asarray(path) + rng.normal(0, 1.3, (len(path), 2))
    return [(x, y) for x, y in moved.tolist()]


def _turned(plane: Plane, quarters: int) -> Plane:
    """Rotate a plane by quarter turns; minus `quarters` rotates it back."""
    return np.ascontiguousarray(np.rot90(plane, quarters))
