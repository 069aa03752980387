"""The camera contract: start an exposure at a trigger, return frames in order.

A camera is opened by its address, `kind://place?option=value&...`; docs/cameras.md lists the kinds and options.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from bundle import Image, check_frame
from edge.errors import CameraLost, FrameDamaged

Clock = Callable[[], float]
"""Monotonic clock in seconds, like `time.monotonic`."""


@dataclass(frozen=True)
class Frame:
    """One image of one part."""

    pixels: Image
    """uint8 [H, W] grey or [H, W, 3] RGB; owned by the receiver."""
    exposure: int
    """Number of its exposure, counted from 1 since the camera was opened."""
    arrived: float
    """Time at which it was complete in memory, in seconds of the camera's clock."""
    source: str
    """Origin for the records: a file name, or the camera's address with the exposure number."""


@dataclass
class CameraHealth:
    """Counters and connection state of a camera since it was opened."""

    connected: bool = True
    frames: int = 0
    """Frames returned by `grab`."""
    damaged: int = 0
    """Exposures without a usable frame."""
    unclaimed: int = 0
    """Frames without an exposure; not counted for a camera in free run, which sends them continuously."""
    lost: int = 0
    """Number of lost connections."""
    reopened: int = 0
    last_error: str = ""


class Camera(ABC):
    """An open camera.

    `expose` is called by one thread at each trigger, `grab` by one other thread for each exposure.
    """

    def __init__(self, address: str, clock: Clock = monotonic) -> None:
        self.address = address
        self.clock = clock
        self.health = CameraHealth()
        self._exposures = 0

    def expose(self, age_s: float | None = 0.0, after_s: float = 0.0) -> int:
        """Request an exposure; returns the number of its frame.

        age_s: time since its part arrived; None if unknown. after_s: time from the part's arrival at which the exposure
        is due, for the second and further ones of a part; a camera that plays files does not wait.
        Never blocks or raises: errors are raised by `grab` for that frame.
        """
        self._exposures += 1
        self._expose(self._exposures, age_s, after_s)
        return self._exposures

    def start_free_run(self) -> None:
        """Count every received frame as an exposure from now on, without calls of `expose`.

        Lost frames leave gaps in the numbers. Raises CameraError if the camera waits for triggers.
        """
        self._start_free_run()

    def grab(self, timeout_s: float) -> Frame:
        """Return the next exposure's frame, waiting at most `timeout_s` seconds.

        Raises CameraTimeout, FrameDamaged (this frame only), CameraLost (this frame, because the camera is
        disconnected) or CameraFinished.
        """
        try:
            frame = self._grab(timeout_s)
        except FrameDamaged as error:
            self.health.damaged += 1
            if not isinstance(error, CameraLost):  # already in last_error
                self.health.last_error = str(error)
            raise
        check_frame(frame.pixels)
        self.health.frames += 1
        return frame

    @property
    def exhausted(self) -> bool:
        """Whether the last frame has been grabbed; only cameras that read files end."""
        return False

    @abstractmethod
    def _expose(self, exposure: int, age_s: float | None, after_s: float) -> None:
        """Request exposure number `exposure`, `after_s` from the arrival of a part that arrived `age_s` seconds ago."""

    @abstractmethod
    def _start_free_run(self) -> None:
        """Start to number the frames in order of arrival."""

    @abstractmethod
    def _grab(self, timeout_s: float) -> Frame:
        """Wait for the next frame."""

    @abstractmethod
    def close(self) -> None:
        """Close the camera; frames already returned stay valid."""
