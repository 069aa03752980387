"""GenICam options and pixel formats, shared by the libraries that implement the standard."""

import cv2
import numpy as np
from pydantic import Field

from bundle import Image
from edge.cameras.device import DeviceOptions
from edge.errors import CameraError

COPY = -1
FORMATS = {
    "Mono8": (1, COPY),
    "RGB8": (3, COPY),
    "RGB8Packed": (3, COPY),
    "BGR8": (3, cv2.COLOR_BGR2RGB),
    "BGR8Packed": (3, cv2.COLOR_BGR2RGB),
    "RGBa8": (4, cv2.COLOR_RGBA2RGB),
    "BGRa8": (4, cv2.COLOR_BGRA2RGB),
    "BayerRG8": (1, cv2.COLOR_BayerRGGB2RGB),
    "BayerGR8": (1, cv2.COLOR_BayerGRBG2RGB),
    "BayerGB8": (1, cv2.COLOR_BayerGBRG2RGB),
    "BayerBG8": (1, cv2.COLOR_BayerBGGR2RGB),
}
"""Bytes per pixel and OpenCV conversion, by name in the GenICam Pixel Format Naming Convention."""


class GenicamOptions(DeviceOptions):
    """Options of GenICam cameras; an option that is left out keeps the camera's setting."""

    width: int | None = Field(default=None, ge=1, le=65_536, description="pixels")
    height: int | None = Field(default=None, ge=1, le=65_536, description="pixels")
    format: str | None = Field(default=None, description=f"pixel format: {', '.join(FORMATS)}")
    fps: float | None = Field(default=None, gt=0, le=10_000, description="frames per second in free run")
    exposure_us: float | None = Field(default=None, gt=0, le=60e6, description="exposure time in microseconds")
    gain_db: float | None = Field(default=None, ge=-50, le=100, description="gain in the camera's unit, mostly dB")
    line: str = Field(default="Line1", description="the camera's input for the hardware trigger")


def announced_shape(address: str, name: str, height: int, width: int) -> tuple[int, ...]:
    """Return the shape of the output of `to_image`; raises CameraError for an unknown pixel format."""
    if name not in FORMATS:
        raise CameraError(
            f"camera {address}: found the pixel format {name}, expected one of {', '.join(FORMATS)}; choose one with "
            "the option format"
        )
    return (height, width) if name == "Mono8" else (height, width, 3)


def to_image(data: Image, name: str, height: int, width: int) -> Image:
    """Convert a frame's bytes to uint8 [H, W] or [H, W, 3] RGB, always a copy; `name` is one of `FORMATS`.

    Ignores bytes after the last row; raises ValueError if there are too few.
    """
    channels, conversion = FORMATS[name]
    needed = height * width * channels
    if data.size < needed:
        raise ValueError(f"found {data.size} bytes, expected {needed} for {width}x{height} {name}")
    pixels = data.reshape(-1)[:needed].reshape((height, width) if channels == 1 else (height, width, channels))
    return pixels.copy() if conversion == COPY else np.asarray(cv2.cvtColor(pixels, conversion), np.uint8)
