"""The seam between a camera of this program and a vendor's software: one connection to one device."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from bundle import Image
from edge.address import AddressOptions
from edge.cameras.matching.frame_sanity import FrameSanityOptions
from edge.errors import CameraError


class DeviceLost(CameraError):
    """This connection is of no more use."""


@dataclass(frozen=True, eq=False)
class Received:
    """What a device sent: one frame, or the sign that one was spoilt on the way."""

    pixels: Image | None
    """uint8 [H, W] grey or [H, W, 3] RGB, a copy of its own; None if the frame is unusable."""
    stamp: float | None = None
    """When it was exposed, in seconds of the device's own clock, if the device says so."""
    problem: str = ""
    """Why there are no pixels: found and expected."""
    number: int | None = None
    """The device's own count of it, which shows where frames were lost; None if it has none."""


class Device(ABC):
    """One connection to a device that is sending frames, or waits for triggers; used by one thread."""

    shape: tuple[int, ...]
    """Of every frame, as the device announced it on opening: (H, W) grey or (H, W, 3) RGB."""

    @abstractmethod
    def receive(self, timeout_s: float) -> Received | None:
        """Return the oldest frame that has not been received yet; None if none came within `timeout_s` seconds.

        Raises DeviceLost.
        """

    def trigger(self) -> None:
        """Have the device take one picture, where the kind's options offer `trigger=software`; raises DeviceLost."""
        raise DeviceLost("found no software trigger, expected one; choose another trigger in the camera's address")

    @abstractmethod
    def close(self) -> None:
        """Give the device back; never raises."""


class DeviceOptions(FrameSanityOptions):
    """Options of every live camera: how frames are matched to triggers, and which frames are not believed."""

    trigger: Literal["free", "software", "hardware"] = Field(
        default="free",
        description="free: the camera runs by itself; software: each message of the PLC triggers it; "
        "hardware: a sensor's wire triggers it",
    )
    window_ms: float = Field(
        default=20,
        gt=0,
        le=10_000,
        description="hardware trigger: how far a frame's beginning and the PLC's message may lie apart, less than half "
        "of the shortest time between two parts; software trigger: one that cannot be sent so soon is not sent at all; "
        "free run: a message that comes later than this gets no frame",
    )
    late_ms: float = Field(
        default=1000,
        ge=0,
        le=60_000,
        description="hardware trigger, a PLC whose messages do not say how old they are (Modbus): how late one can be "
        "that had to be repeated; for so long after a frame without a message no part is believed to have its own",
    )
    latency_ms: float = Field(
        default=100,
        ge=0,
        le=10_000,
        description="longest time from the start of an exposure to the arrival of its frame, if nothing holds it up "
        "(exposure + read-out + transfer); a frame is taken to have begun that long before",
    )
    frame_timeout_ms: float = Field(
        default=1000, gt=0, le=60_000, description="a trigger without a frame for so long has none"
    )
    silence_ms: float = Field(
        default=2000, gt=0, le=60_000, description="a camera in free run that is silent for so long is lost"
    )


SETTING_TOLERANCE = 0.05
"""Sensors set exposure and gain in steps, of a line's time or so; beyond this share it is another setting."""


def check_settings(address: str, options: AddressOptions, found: dict[str, object]) -> None:
    """Compare what a device has taken over with what was asked for; what was not asked for (None) passes.

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
