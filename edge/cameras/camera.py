"""What every camera does: expose at a trigger, hand over frames in order.

A camera is opened by its address, `kind://place?option=value&...`; docs/cameras.md lists the kinds with their options.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from bundle import Image, check_frame
from edge.errors import CameraLost, FrameDamaged

Clock = Callable[[], float]
"""Seconds on a clock that never jumps, like `time.monotonic`."""


@dataclass(frozen=True)
class Frame:
    """One picture of one part."""

    pixels: Image
    """uint8 [H, W] grey or [H, W, 3] RGB; the receiver's own, the camera does not touch it again."""
    exposure: int
    """Which exposure it is of, counted from 1 since the camera was opened."""
    arrived: float
    """When it was complete in memory, in seconds of the camera's clock."""
    source: str
    """Where it comes from, for the records: a file's name, or the camera's address with a number."""


@dataclass
class CameraHealth:
    """What has happened to a camera since it was opened."""

    connected: bool = True
    frames: int = 0
    """Frames handed over."""
    damaged: int = 0
    """Exposures without a usable frame, for whatever reason."""
    unclaimed: int = 0
    """Frames that no exposure had asked for; a camera in free run sends them all the time, they are not counted."""
    lost: int = 0
    """How often the connection was given up."""
    reopened: int = 0
    last_error: str = ""


class Camera(ABC):
    """One opened camera.

    `expose` is called by one thread at each trigger, `grab` by one other thread for each exposure.
    """

    def __init__(self, address: str, clock: Clock = monotonic) -> None:
        self.address = address
        self.clock = clock
        self.health = CameraHealth()
        self._exposures = 0

    def expose(self, age_s: float | None = 0.0) -> int:
        """Take one picture now. Returns the number that its frame will carry.

        age_s: for how long its part has been there already; None if nobody knows.
        Never blocks or fails: what goes wrong shows when that frame is grabbed.
        """
        self._exposures += 1
        self._expose(self._exposures, age_s)
        return self._exposures

    def announce(self) -> None:
        """Let every frame that comes be an exposure of its own from now on, in place of `expose`.

        Numbers that are left out are frames that were lost. Raises CameraError where the camera waits to be triggered.
        """
        self._announce()

    def grab(self, timeout_s: float) -> Frame:
        """Hand over the next exposure's frame, waiting at most `timeout_s` seconds.

        Raises CameraTimeout, FrameDamaged (one frame, in its turn), CameraLost (the same, as the camera was gone) or
        CameraFinished.
        """
        try:
            frame = self._grab(timeout_s)
        except FrameDamaged as error:
            self.health.damaged += 1
            if not isinstance(error, CameraLost):  # the loss itself has been noted
                self.health.last_error = str(error)
            raise
        check_frame(frame.pixels)
        self.health.frames += 1
        return frame

    @property
    def exhausted(self) -> bool:
        """Whether there will never be another frame; only cameras that play files come to an end."""
        return False

    @abstractmethod
    def _expose(self, exposure: int, age_s: float | None) -> None:
        """Start exposure number `exposure`, of a part that has been there for `age_s`."""

    @abstractmethod
    def _announce(self) -> None:
        """Number the frames as they come."""

    @abstractmethod
    def _grab(self, timeout_s: float) -> Frame:
        """Wait for the next frame."""

    @abstractmethod
    def close(self) -> None:
        """Give the camera back; frames already handed over stay valid."""
