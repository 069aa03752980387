"""Millimetres per pixel from a picture of a chessboard: `edge-inspect calibrate-scale`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import Image, read_image
from edge.cameras.registry import open_camera
from edge.config.line import Line, load_line
from edge.config.schema import CameraSettings
from edge.errors import LineConfigError, ScaleError

LEAST_SQUARE_PX = 6.0
"""Squares smaller than this have corners that cannot be placed to a fraction of a pixel."""
TILT_LIMIT = 0.02
"""Allowed difference of the scale between two ends of the board, as a share: at 2 % an area is off by 4 %."""
BEND_LIMIT_PX = 0.5
"""Allowed distance of a corner from where a flat board behind a perfect lens would have it (root mean square)."""

Grid = NDArray[np.float64]
"""Corners of the board, float64 [rows, columns, 2], x and y in pixels."""


@dataclass(frozen=True)
class Scale:
    """Scale and tilt of a camera, measured on a picture of a calibration board."""

    mm_per_px: float
    """Mean over the board, of both directions."""
    least: float
    greatest: float
    """Of the scale from square to square."""
    tilt: float
    """Largest difference of the scale between two opposite ends of the board, as a share."""
    bend_px: float
    """Root mean square distance of the corners from the best flat board without lens distortion."""
    covered: float
    """Share of the picture that the board takes."""

    @property
    def warnings(self) -> list[str]:
        """Warnings if a single scale is inaccurate for the picture, each with the remedy."""
        found = []
        if self.tilt > TILT_LIMIT:
            found.append(
                f"the scale differs by {self.tilt:.1%} from one end of the board to the other, expected at most "
                f"{TILT_LIMIT:.0%}; set the camera square to the parts, lay the board flat"
            )
        if self.bend_px > BEND_LIMIT_PX:
            found.append(
                f"corners lie {self.bend_px:.2f} px off a flat board, expected at most {BEND_LIMIT_PX} px; the lens "
                "distorts, or the board is bent or printed unevenly"
            )
        if self.covered < 0.1:
            found.append(
                f"the board covers {self.covered:.0%} of the picture, which says little of the rest; use a larger one"
            )
        return found


def measure_scale(image: Image, pattern: tuple[int, int], square_mm: float) -> Scale:
    """Measure a board with `pattern` inner corners (columns, rows), the edges of its squares `square_mm` long.

    image: uint8 [H, W] or [H, W, 3]. Raises ScaleError if there is no such board in it.
    """
    grid = find_board(image, pattern)
    across, down = np.diff(grid, axis=1), np.diff(grid, axis=0)
    sides = np.linalg.norm(across, axis=2), np.linalg.norm(down, axis=2)
    scales = [square_mm / side for side in sides]
    found = np.concatenate([scale.ravel() for scale in scales])
    return Scale(
        mm_per_px=square_mm / float(np.mean(np.concatenate([side.ravel() for side in sides]))),
        least=float(found.min()),
        greatest=float(found.max()),
        tilt=_tilt(sides),
        bend_px=_bend(grid),
        covered=float(cv2.contourArea(_outline(grid))) / (image.shape[0] * image.shape[1]),
    )


def find_board(image: Image, pattern: tuple[int, int]) -> Grid:
    """Find the inner corners of a chessboard to a fraction of a pixel; raises ScaleError."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    found, corners = cv2.findChessboardCornersSB(grey, pattern)
    if not found:
        found, corners = cv2.findChessboardCornersSB(grey, pattern, flags=cv2.CALIB_CB_EXHAUSTIVE)
    if not found:
        columns, rows = pattern
        raise ScaleError(
            f"found no chessboard of {columns}x{rows} inner corners in the picture of {grey.shape[1]}x{grey.shape[0]}, "
            f"expected all of it, with a white border, in focus and evenly lit; a board of {columns + 1}x{rows + 1} "
            "squares has that many inner corners"
        )
    grid: Grid = np.asarray(corners, np.float64).reshape(pattern[1], pattern[0], 2)
    side = float(np.linalg.norm(np.diff(grid, axis=1), axis=2).min())
    if side < LEAST_SQUARE_PX:
        raise ScaleError(
            f"found squares of {side:.1f} px, expected at least {LEAST_SQUARE_PX:g}; use a board with larger squares"
        )
    return grid


def _tilt(sides: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
    """Compare the mean side of the squares at opposite ends: first and last row, first and last column."""
    ends = [(side[0], side[-1]) for side in sides] + [(side[:, 0], side[:, -1]) for side in sides]
    return max(float(abs(first.mean() / last.mean() - 1)) for first, last in ends)


def _bend(grid: Grid) -> float:
    """Distance of the corners from the best homography of a flat board, which any pinhole camera's picture of it is.

    Hartley and Zisserman, Multiple View Geometry, 2nd edition, section 4.1.
    """
    rows, columns = grid.shape[:2]
    flat = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 1, 2).astype(np.float64)
    homography, _ = cv2.findHomography(flat, grid.reshape(-1, 1, 2))
    seen = cv2.perspectiveTransform(flat, homography).reshape(grid.shape)
    return float(np.sqrt(((seen - grid) ** 2).sum(axis=2).mean()))


def _outline(grid: Grid) -> NDArray[np.float32]:
    return np.array([grid[0, 0], grid[0, -1], grid[-1, -1], grid[-1, 0]], np.float32)


def calibrate(source: Path, camera: str | None, pattern: str, square_mm: float) -> Iterator[str]:
    """Give the lines to print; `source` is a picture or a line's TOML file.

    Raises StationError, FrameError or OSError.
    """
    corners = read_pattern(pattern)
    if source.suffix == ".toml":
        settings = _chosen(load_line(source), camera, source)
        image, name = _picture(settings), settings.name
    else:
        image, name = read_image(source), camera or "camera"
    yield from _report(measure_scale(image, corners, square_mm), image, name)


def read_pattern(text: str) -> tuple[int, int]:
    """Read inner corners such as `9x6`, columns and rows."""
    numbers = re.fullmatch(r"(\d{1,2})x(\d{1,2})", text)
    columns, rows = (int(number) for number in numbers.groups()) if numbers else (0, 0)
    if min(columns, rows) < 3:
        raise ScaleError(f"pattern: found {text!r}, expected inner corners as COLUMNSxROWS, at least 3x3, such as 9x6")
    return columns, rows


def _chosen(line: Line, name: str | None, path: Path) -> CameraSettings:
    cameras = {camera.name: camera for camera in line.camera}
    if name is None and len(cameras) == 1:
        return line.camera[0]
    if name not in cameras:
        found = "no --camera" if name is None else f"no camera {name!r}"
        raise LineConfigError(f"{path}: found {found}, expected one of {', '.join(cameras)}")
    return cameras[name]


def _picture(settings: CameraSettings) -> Image:
    camera = open_camera(settings.address, monotonic)
    try:
        camera.expose()
        return camera.grab(timeout_s=5.0).pixels
    finally:
        camera.close()


def _report(scale: Scale, image: Image, camera: str) -> Iterator[str]:
    height, width = image.shape[:2]
    yield (
        f"{scale.mm_per_px:.5g} mm per pixel, {scale.least:.5g} to {scale.greatest:.5g} from square to square; "
        f"the picture of {width}x{height} shows {width * scale.mm_per_px:.4g} x {height * scale.mm_per_px:.4g} mm"
    )
    yield from (f"WARNING: {warning}" for warning in scale.warnings)
    yield f'for line.toml, in the [[camera]] with the name "{camera}":'
    yield f"mm_per_px = {scale.mm_per_px:.4g}"
