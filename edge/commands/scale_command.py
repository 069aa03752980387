"""Command `edge-inspect calibrate-scale`: computes the scale of a picture and prints the line for line.toml."""

import re
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from bundle import Image, read_image
from edge.cameras.registry import open_camera
from edge.commands.scale import Scale, measure_scale
from edge.config.line import Line, load_line
from edge.config.schema import CameraSettings
from edge.errors import LineConfigError, ScaleError


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
