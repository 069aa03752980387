"""USB and other cameras of the Linux kernel (V4L2) through OpenCV."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from edge.address import place_of, read_options
from edge.cameras.camera import Clock
from edge.cameras.device import Device, DeviceLost, DeviceOptions, Received, check_settings
from edge.cameras.live import LiveCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError

EXPOSURE_UNIT_US = 100
"""V4L2_CID_EXPOSURE_ABSOLUTE counts in units of 100 us."""
MANUAL_EXPOSURE = 1
"""V4L2_EXPOSURE_MANUAL of V4L2_CID_EXPOSURE_AUTO."""


class V4l2Options(DeviceOptions):
    """Options of `v4l2://`; an option that is left out keeps the camera's setting."""

    trigger: Literal["free", "hardware"] = Field(
        default="free",
        description="free: free run; hardware: a sensor triggers the camera (configured with the vendor's tool)",
    )
    width: int | None = Field(default=None, ge=1, le=65_536, description="pixels")
    height: int | None = Field(default=None, ge=1, le=65_536, description="pixels")
    fps: float | None = Field(default=None, gt=0, le=10_000, description="frames per second")
    fourcc: str | None = Field(
        default=None,
        min_length=4,
        max_length=4,
        description="pixel format on the wire: YUYV, MJPG, GREY, ...; GREY gives grey frames, all others RGB",
    )
    exposure_us: int | None = Field(
        default=None, ge=100, le=60_000_000, multiple_of=100, description="exposure time in microseconds"
    )
    gain: float | None = Field(
        default=None, description="gain in the driver's own unit (`v4l2-ctl -L` lists its range)"
    )


class V4l2Device(Device):
    """One open video device."""

    def __init__(self, address: str, options: V4l2Options, capture: Any, wait_any: Callable[..., Any]) -> None:
        """Set up `capture`, a `cv2.VideoCapture`; `wait_any` is its `waitAny`. Raises CameraError."""
        self._capture, self._wait_any = capture, wait_any
        self._grey = options.fourcc == "GREY"
        try:
            if not capture.isOpened():
                raise CameraError(
                    f"camera {address}: cannot be opened, expected a video device; check the path, the cable, and that "
                    "this user is of the group video"
                )
            check_settings(address, options, configure(capture, options))
        except CameraError:
            self.close()
            raise
        height, width = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.shape = (height, width) if self._grey else (height, width, 3)

    def receive(self, timeout_s: float) -> Received | None:
        """Return the oldest frame that has not been received yet."""
        try:
            ready, _ = self._wait_any([self._capture], max(int(timeout_s * 1e9), 1))
            if not ready:
                return None
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3 or None
            good, pixels = self._capture.retrieve()
        except cv2.error as error:
            raise DeviceLost(f"found {error.err or error}, expected a frame; check the cable") from None
        if not good or pixels is None:
            return Received(None, stamp, "found a frame that cannot be decoded, expected a whole one; check the cable")
        return Received(self._image(np.asarray(pixels, np.uint8)), stamp)

    def close(self) -> None:
        """Close the device."""
        self._capture.release()

    def _image(self, pixels: Any) -> Any:
        if self._grey:
            return pixels.reshape(pixels.shape[:2]).copy()
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


PROPERTIES = {
    "fourcc": cv2.CAP_PROP_FOURCC,
    "width": cv2.CAP_PROP_FRAME_WIDTH,
    "height": cv2.CAP_PROP_FRAME_HEIGHT,
    "fps": cv2.CAP_PROP_FPS,
    "exposure_us": cv2.CAP_PROP_EXPOSURE,
    "gain": cv2.CAP_PROP_GAIN,
}
"""OpenCV property of each option, in the order of setting: the available sizes depend on the pixel format."""


def configure(capture: Any, options: V4l2Options) -> dict[str, object]:
    """Write the options to a capture; returns the values read back, by option."""
    asked = {name: getattr(options, name) for name in PROPERTIES if getattr(options, name) is not None}
    if options.fourcc == "GREY":
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    if options.exposure_us is not None:
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL_EXPOSURE)
    for name, value in asked.items():
        capture.set(PROPERTIES[name], _to_driver(name, value))
    return {name: _from_driver(name, capture.get(PROPERTIES[name])) for name in asked}


def _to_driver(name: str, value: Any) -> float:
    if name == "fourcc":
        return cv2.VideoWriter.fourcc(*value)
    return float(value / EXPOSURE_UNIT_US if name == "exposure_us" else value)


def _from_driver(name: str, value: float) -> object:
    if name == "fourcc":
        return int(value).to_bytes(4, "little").decode("ascii", "replace")
    if name == "exposure_us":
        return int(value) * EXPOSURE_UNIT_US
    return value if name in ("fps", "gain") else int(value)


def connect(address: str, options: V4l2Options) -> V4l2Device:
    """Open the device of an address."""
    capture = cv2.VideoCapture(place_of(address), cv2.CAP_V4L2)
    return V4l2Device(address, options, capture, cv2.VideoCapture.waitAny)


def open_v4l2(address: str, clock: Clock) -> LiveCamera:
    """Open `v4l2:///dev/video0`."""
    options = read_options(address, V4l2Options)
    return LiveCamera(address, clock, options, partial(connect, address, options))


KIND = CameraKind(V4l2Options, open_v4l2)
