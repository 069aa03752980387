"""The device contract: one connection to one camera through a vendor's software."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from bundle import Image
from edge.address import AddressOptions
from edge.cameras.matching.frame_sanity import FrameSanityOptions
from edge.errors import CameraError


class DeviceLost(CameraError):
    """The connection is lost and must be opened again."""


@dataclass(frozen=True, eq=False)
class Received:
    """One received frame, or the notice of a damaged one."""

    pixels: Image | None
    """uint8 [H, W] grey or [H, W, 3] RGB, a copy; None if the frame is unusable."""
    stamp: float | None = None
    """Exposure time in seconds of the device's own clock; None if the device sends no timestamps."""
    problem: str = ""
    """Reason for missing pixels: found, expected."""
    number: int | None = None
    """Frame counter of the device, to detect lost frames; None if it has none."""


class Device(ABC):
    """One connection to a device that sends frames or waits for triggers; used by one thread."""

    shape: tuple[int, ...]
    """Shape of every frame, read when the device was opened: (H, W) grey or (H, W, 3) RGB."""

    @abstractmethod
    def receive(self, timeout_s: float) -> Received | None:
        """Return the oldest unread frame; None if none arrives within `timeout_s` seconds.

        Raises DeviceLost.
        """

    def trigger(self) -> None:
        """Send a software trigger, for kinds with the option `trigger=software`; raises DeviceLost."""
        raise DeviceLost("found no software trigger, expected one; choose another trigger in the camera's address")

    @abstractmethod
    def close(self) -> None:
        """Close the connection; never raises."""


class DeviceOptions(FrameSanityOptions):
    """Options of every live camera: trigger matching, time limits and frame checks."""

    trigger: Literal["free", "software", "hardware"] = Field(
        default="free",
        description="free: free run; software: each trigger message of the PLC triggers the camera; "
        "hardware: a sensor triggers the camera",
    )
    window_ms: float = Field(
        default=20,
        gt=0,
        le=10_000,
        description="hardware trigger: largest time between start of exposure and trigger message, less than half of "
        "the shortest time between two parts; software trigger: a trigger that cannot be sent within this time is "
        "dropped; free run: a trigger message older than this gets no frame",
    )
    late_ms: float = Field(
        default=1000,
        ge=0,
        le=60_000,
        description="hardware trigger with a PLC that does not know the age of its triggers: largest delay of a "
        "repeated message; for this time after a frame without a message, parts get no frame",
    )
    latency_ms: float = Field(
        default=100,
        ge=0,
        le=10_000,
        description="longest time from start of exposure to arrival of the frame (exposure + read-out + transfer); "
        "the start of exposure is the arrival minus this time",
    )
    frame_timeout_ms: float = Field(
        default=1000, gt=0, le=60_000, description="longest wait for the frame of a trigger"
    )
    silence_ms: float = Field(
        default=2000, gt=0, le=60_000, description="a camera in free run without a frame for this time is lost"
    )

    @model_validator(mode="after")
    def _a_frame_can_arrive_in_time(self) -> "DeviceOptions":
        if self.trigger != "software" and self.latency_ms >= self.frame_timeout_ms:
            raise ValueError(
                f"latency_ms: found {self.latency_ms:g}, expected less than frame_timeout_ms, which is "
                f"{self.frame_timeout_ms:g}: no frame would arrive in time; set frame_timeout_ms above it"
            )
        return self


SETTING_TOLERANCE = 0.05
"""Relative difference allowed between set and read-back values: sensors round exposure and gain to steps."""


def check_settings(address: str, options: AddressOptions, found: dict[str, object]) -> None:
    """Compare settings read back from a device with the options; options that are None are not checked.

    Raises CameraError with option, found and expected.
    """
    for name, value in found.items():
        asked = getattr(options, name)
        if asked is None:
            continue
        if isinstance(asked, float) and isinstance(value, (int, float)):
            same = abs(value - asked) <= SETTING_TOLERANCE * max(abs(asked), 1)
        else:
            same = value == asked
        if not same:
            raise CameraError(
                f"camera {address}: option {name}: found {value} in the camera, expected {asked}; choose a value that "
                "the camera can be set to"
            )
