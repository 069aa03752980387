"""Functions that draw defects of magnetic tiles onto photographs of good tiles.

The virtual camera has one kind of drawing per class (synthetic/defects.py). Training needs more variety: cracks from an
edge, patches and corners with other grinding marks, bare spots, flakes with little but an outline. Lengths are in
pixels of a part that is 400 pixels high.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from synthetic.defects import DrawnDefect, blowhole, chip, crack, fray, uneven
from synthetic.surfaces import Path, Plane, Surface, clouds, fill, stroke

Artist = Callable[[Generator, Surface], DrawnDefect]


def pit(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw an irregular hole, round or elongated, anywhere, also across an edge."""
    height, width = surface.shape
    x, y = rng.uniform(0, 1) * width, rng.uniform(0, 1) * height
    radius = rng.uniform(2.5, 9)
    outline = _oval(rng, (x, y), (radius * rng.uniform(0.5, 1), radius * rng.uniform(0.8, 2.2)), rough=0.18)
    cover = fill(surface.shape, outline, soft_px=rng.uniform(0.5, 1.5))
    dark = np.float32(rng.uniform(0.25, 0.6))
    return DrawnDefect(cover, surface.shade * dark * (1 + np.float32(rng.uniform(0.3, 1)) * surface.grain))


def edge_crack(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw one or two cracks that run in from the upper or the lower edge, roughly along the grinding."""
    height, width = surface.shape
    paths = []
    top = rng.random() < 0.5
    x = rng.uniform(0.08, 0.92) * width
    for _ in range(int(rng.integers(1, 3))):
        steps, bend = int(rng.integers(4, 16)), rng.normal(0, 0.04)
        heading = np.pi / 2 + rng.normal(0, 0.25) + np.cumsum(rng.normal(bend, 0.08, steps))
        step_px = rng.uniform(3, 5)
        xs = x + np.cumsum(np.cos(heading)) * step_px + rng.normal(0, 0.6, steps)
        ys = np.cumsum(np.sin(heading)) * step_px - 3
        paths.append(list(zip(xs.tolist(), (ys if top else height - ys).tolist(), strict=True)))
        x += rng.normal(0, 0.12) * width
    return _line(rng, surface, paths)


def arc_crack(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw an arc-shaped crack anywhere."""
    height, width = surface.shape
    steps = int(rng.integers(6, 18))
    turn = rng.choice([-1, 1]) * rng.uniform(0.02, 0.22)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(turn, 0.08, steps))
    step_px = rng.uniform(3, 6)
    xs = rng.uniform(0.05, 0.95) * width + np.cumsum(np.cos(heading)) * step_px
    ys = rng.uniform(0.05, 0.95) * height + np.cumsum(np.sin(heading)) * step_px
    return _line(rng, surface, [list(zip(xs.tolist(), ys.tolist(), strict=True))])


def patch(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a patch with other grinding marks and a soft outline."""
    height, width = surface.shape
    rows, columns = _rows_and_columns(surface)
    down, across = rng.uniform(0.06, 0.3) * height, rng.uniform(0.15, 0.7) * width
    y, x = rng.choice([0.0, 1.0, rng.random(), rng.random()]) * height, rng.random() * width
    power = rng.uniform(3, 8)  # from an oval to a box
    wave = 1 + 0.08 * clouds(rng, surface.shape, (40, 40))
    away = (np.abs((rows - y) / down) ** power + np.abs((columns - x) / across) ** power) ** (1 / power) * wave
    return _reground(rng, surface, (1 - away) * min(down, across))


def corner(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a corner with other grinding marks, bounded by a slanting line."""
    height, width = surface.shape
    rows, columns = _rows_and_columns(surface)
    rows = rows if rng.random() < 0.5 else height - rows
    columns = columns if rng.random() < 0.5 else width - columns
    down, across = rng.uniform(0.12, 0.4) * height, rng.uniform(0.3, 0.9) * width
    bulge = 0.15 * np.sin(np.pi * np.clip(columns / across, 0, 1)) * rng.uniform(-1, 1)
    return _reground(rng, surface, (1 - rows / down - columns / across + bulge) * min(down, across) * 0.7)


def bare(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a dull spot with few marks of grinding: an oval on the face, or a tongue from an edge."""
    height, width = surface.shape
    down, across = rng.uniform(0.08, 0.4) * height, rng.uniform(0.06, 0.25) * width
    y = rng.uniform(0.1, 0.9) * height if rng.random() < 0.5 else rng.choice([0.0, 1.0]) * height
    x = rng.uniform(0.1, 0.9) * width
    cover = fill(surface.shape, _oval(rng, (x, y), (across, down), rough=0.07), soft_px=rng.uniform(0.7, 2.5))
    rough = 1 + np.float32(rng.uniform(0.05, 0.35)) * surface.grain + 0.04 * clouds(rng, surface.shape, (3, 3))
    rough = rough + np.float32(rng.uniform(0, 0.1)) * clouds(rng, surface.shape, (25, 25))
    return DrawnDefect(cover, np.asarray(surface.shade * np.float32(rng.uniform(0.45, 0.82)) * rough, np.float32))


def flake(rng: Generator, surface: Surface) -> DrawnDefect:
    """Draw a piece that has come off an edge or a corner, dull or shining, with a dark outline."""
    height, width = surface.shape
    upright = rng.random() < 0.5  # at the left or the right edge
    length, depth = (height, width) if upright else (width, height)
    middle = rng.choice([0.0, 1.0, rng.random(), rng.random()]) * length
    reach = np.exp(rng.uniform(np.log(6), np.log(0.35 * length)))
    deep = min(np.exp(rng.uniform(np.log(4), np.log(60))), 0.3 * depth)
    steps = np.linspace(-1, 1, int(rng.integers(7, 16)))
    along = middle + reach * steps
    into = deep * np.sqrt(np.clip(1.05 - steps**2, 0, 1)) * rng.uniform(0.6, 1, steps.size)
    far = rng.random() < 0.5
    inner, foot = (depth + 2.0 - into, depth + 4.0) if far else (into - 2.0, -4.0)
    outline = list(zip(inner.tolist(), along.tolist(), strict=True))
    closed = [*outline, (foot, float(along[-1])), (foot, float(along[0]))]
    if not upright:
        outline, closed = ([(y, x) for x, y in path] for path in (outline, closed))
    rough = 1 + np.float32(rng.uniform(0.1, 0.6)) * surface.grain + 0.12 * clouds(rng, surface.shape, (5, 5))
    look = np.float32(np.exp(rng.uniform(np.log(0.3), np.log(1.3)))) * rough
    look = look * (1 - np.float32(rng.uniform(0, 0.6)) * stroke(surface.shape, [outline], 2, soft_px=0.8))
    return DrawnDefect(fill(surface.shape, closed, soft_px=0.5), np.asarray(surface.shade * look, np.float32))


ARTISTS: Mapping[str, tuple[Artist, ...]] = MappingProxyType(
    {
        "Blowhole": (blowhole, pit, pit),
        "Break": (chip, flake, flake),
        "Crack": (crack, edge_crack, edge_crack, arc_crack),
        "Fray": (fray, bare, bare),
        "Uneven": (uneven, patch, patch, corner),
    }
)
"""By class; one of them is chosen at random for each defect."""


def _line(rng: Generator, surface: Surface, paths: list[Path]) -> DrawnDefect:
    cover = stroke(surface.shape, paths, int(rng.integers(1, 4)), soft_px=rng.uniform(0, 0.7))
    return DrawnDefect(
        np.clip(cover * 1.3, 0, 1), surface.shade * np.float32(rng.uniform(0.2, 0.55)) * (1 + surface.grain)
    )


def _reground(rng: Generator, surface: Surface, inside: Plane) -> DrawnDefect:
    """Change grain and brightness where `inside`, the distance in pixels from the outline, is above 0."""
    cover = np.clip(inside / rng.uniform(3, 14) + 0.5, 0, 1)
    factor = rng.uniform(1.15, 1.5) if rng.random() < 0.65 else rng.uniform(0.6, 0.87)
    grain = np.float32(rng.uniform(1.4, 3.2) if rng.random() < 0.8 else rng.uniform(0.2, 0.7))
    streaks = np.float32(rng.uniform(0, 0.12)) * np.clip(clouds(rng, (1, surface.shape[1]), (1, 2)), -1, 3)
    look = factor * (1 + grain * surface.grain + streaks)
    return DrawnDefect(np.asarray(cover, np.float32), np.asarray(surface.shade * np.clip(look, 0.1, 3), np.float32))


def _oval(rng: Generator, middle: tuple[float, float], radii: tuple[float, float], rough: float) -> Path:
    """Corners of a rough oval, tilted a little; `middle` and `radii` are (x, y)."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = np.ones(24)
    for wave in range(2, 7):
        radius += rough * rng.normal(0, 1 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    tilt = rng.normal(0, 0.35)
    along, aside = radii[0] * radius * np.cos(angles), radii[1] * radius * np.sin(angles)
    xs = middle[0] + along * np.cos(tilt) - aside * np.sin(tilt)
    ys = middle[1] + along * np.sin(tilt) + aside * np.cos(tilt)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _rows_and_columns(surface: Surface) -> tuple[Plane, Plane]:
    """The number of each row [H, 1] and of each column [1, W]."""
    height, width = surface.shape
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
