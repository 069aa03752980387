"""Surface of a good part: steel-grey, ground along its height, with harmless marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Path = list[tuple[float, float]]

BELT = 0.12  # reflectance of the belt beside the part
HEIGHTS_PX = (340, 420)  # like the upright parts of the Magnetic Tile set; both ends included
WIDTHS_PX = (250, 320)
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


@dataclass(frozen=True)
class Surface:
    """Surface of a part; three float32 planes [H, W].

    `shade` is the reflectance without the marks of grinding (about 0.3 to 1.3), `grain` those marks relative to it
    (mean 0), `part` the coverage by the part: 1 on it, 0 on the belt beside it.
    """

    shade: Plane
    grain: Plane
    part: Plane

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.shade.shape
        return height, width

    @property
    def reflectance(self) -> Plane:
        """Reflectance of part and belt, float32 [H, W]."""
        plane = self.shade * (1 + self.grain)
        plane -= BELT
        plane *= self.part
        plane += BELT
        return plane


def draw_surface(rng: Generator, shape: tuple[int, int] | None = None) -> Surface:
    """Draw the surface of a good part, of random size or of this height and width."""
    if shape is None:
        shape = int(rng.integers(*HEIGHTS_PX, endpoint=True)), int(rng.integers(*WIDTHS_PX, endpoint=True))
    shade = _shading(rng, shape)
    shade *= _strips(rng, shape)
    shade *= _marks(rng, shape)
    return Surface(shade=shade, grain=_grinding(rng, shape), part=_outline(rng, shape))


def clouds(rng: Generator, shape: tuple[int, int], cell: tuple[float, float]) -> Plane:
    """Noise of unit variance on a grid, linear in between, float32 [H, W]; `cell` is the grid's step (y, x) in px."""
    height, width = (max(1, round(side / step)) + 1 for side, step in zip(shape, cell, strict=True))
    grid = rng.standard_normal((height, width), dtype=np.float32)
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def stroke(shape: tuple[int, int], paths: Sequence[Path], width_px: int, soft_px: float = 0.0) -> Plane:
    """Coverage of lines through points (x, y), float32 [H, W] in 0..1."""
    canvas = np.zeros(shape, np.uint8)
    cv2.polylines(canvas, [_fixed_point(path) for path in paths], False, 255, width_px, cv2.LINE_AA, _SHIFT)
    return _soften(canvas, soft_px)


def fill(shape: tuple[int, int], corners: Path, soft_px: float = 0.0) -> Plane:
    """Coverage of a polygon with corners (x, y), float32 [H, W] in 0..1."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [_fixed_point(corners)], 255, cv2.LINE_AA, _SHIFT)
    return _soften(canvas, soft_px)


def wander(rng: Generator, shape: tuple[int, int], steps: int, step_px: float, turn: float) -> Path:
    """Draw a path of points (x, y) from a random place on the part; `turn` is the bend of a step in radians."""
    height, width = shape
    x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, turn, steps))
    xs, ys = x + np.cumsum(np.cos(headings)) * step_px, y + np.cumsum(np.sin(headings)) * step_px
    return [(x, y), *zip(xs.tolist(), ys.tolist(), strict=True)]


def _fixed_point(path: Path) -> NDArray[np.int32]:
    return np.asarray(np.rint(np.asarray(path) * 2**_SHIFT), np.int32)


def _soften(canvas: NDArray[np.uint8], soft_px: float) -> Plane:
    cover = canvas.astype(np.float32)
    cover /= 255
    return cv2.GaussianBlur(cover, (0, 0), soft_px).astype(np.float32, copy=False) if soft_px else cover


def _axes(shape: tuple[int, int]) -> tuple[Plane, Plane]:
    """Columns y [H, 1] and rows x [1, W] from -1 to 1."""
    height, width = shape
    return np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]


def _shading(rng: Generator, shape: tuple[int, int]) -> Plane:
    """Shading of a cylindrical part, darker towards its sides, with slow random variation."""
    _, x = _axes(shape)
    roundness, ridge = rng.uniform(0.1, 0.5), rng.uniform(-0.4, 0.4)
    slow = cv2.GaussianBlur(clouds(rng, (shape[0] // 4, shape[1] // 4), (25, 15)), (0, 0), 8)
    slow = cv2.resize(slow, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray((1 - roundness * (x - ridge) ** 2) * (1 + 0.1 * slow), np.float32)


def _strips(rng: Generator, shape: tuple[int, int]) -> Plane:
    """Bevels: a brighter or darker strip along one or both sides, separated from the face by a groove."""
    profile = np.ones(shape[1], np.float32)
    for side in (profile, profile[::-1]):
        if rng.random() < 0.5:
            width = int(rng.integers(6, 20))
            side[:width] *= rng.uniform(1.15, 1.4) if rng.random() < 0.5 else rng.uniform(0.45, 0.75)
            side[width : width + 2] *= rng.uniform(0.5, 0.8)
    return cv2.blur(profile[None], (3, 1)).astype(np.float32, copy=False)


def _grinding(rng: Generator, shape: tuple[int, int]) -> Plane:
    """Streaks of several lengths along the height, one pixel wide, a few of them bright."""
    bright = np.where(rng.random(shape[1]) < 0.05, rng.uniform(1.5, 4.0, shape[1]), 0)
    lines = (rng.standard_normal(shape[1]) + bright).astype(np.float32)
    grain = clouds(rng, shape, (90, 20))
    grain *= 0.45
    grain += 0.5
    grain *= lines
    for length_px in (60, 12, 3):
        grain += np.float32(0.6) * clouds(rng, shape, (length_px, 1))
    grain *= rng.uniform(0.045, 0.095)
    return grain


def _marks(rng: Generator, shape: tuple[int, int]) -> Plane:
    """Scratches, hairs, dust and stains: harmless, and fainter than any defect."""
    scratches = [wander(rng, shape, int(rng.integers(3, 12)), step_px=12, turn=0.03) for _ in range(rng.integers(0, 3))]
    hairs = [wander(rng, shape, int(rng.integers(6, 22)), step_px=6, turn=0.35) for _ in range(rng.integers(0, 5))]
    specks = (rng.random((rng.integers(0, 9), 2)) * shape[::-1]).tolist()
    marks = np.ones(shape, np.float32)
    marks += stroke(shape, scratches, 1) * np.float32(rng.choice([-0.1, 0.12]))
    marks -= stroke(shape, hairs, 2, soft_px=1.2) * np.float32(rng.uniform(0.08, 0.15))
    marks -= stroke(shape, [[(x, y), (x + 1, y)] for x, y in specks], 2) * np.float32(rng.uniform(0.12, 0.22))
    for _ in range(rng.integers(0, 3)):
        marks += _stain(rng, shape) * np.float32(rng.uniform(-0.07, 0.05))
    return marks


def _stain(rng: Generator, shape: tuple[int, int]) -> Plane:
    y, x = _axes(shape)
    middle, radius = rng.uniform(-0.8, 0.8, 2), rng.uniform(0.08, 0.25, 2)
    down, across = np.exp(-(((y - middle[0]) / radius[0]) ** 2)), np.exp(-(((x - middle[1]) / radius[1]) ** 2))
    return np.asarray(down * across, np.float32)


def _outline(rng: Generator, shape: tuple[int, int]) -> Plane:
    """The part fills the frame up to some pixels; its upper and lower edges are slightly bent."""
    (height, width), (_, x) = shape, _axes(shape)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    left, right, top, bottom = (max(0.0, rng.uniform(-4, 6)) for _ in range(4))
    bend, tilt = rng.uniform(-2, 2), rng.uniform(-1.5, 1.5)
    across = np.clip(np.minimum(columns - left, width - right - columns), 0, 1)
    shift = bend * x**2 + tilt * x
    down = np.clip(np.minimum(rows - (top + shift), height - (bottom - shift) - rows), 0, 1)
    return np.asarray(across * down, np.float32)
