"""A camera whose frames announce the parts: on a sensor's wire without a PLC's trigger, or over a web without end."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from edge.cameras.camera import Camera, Frame
from edge.errors import CameraFinished, CameraTimeout, FrameDamaged

log = logging.getLogger(__name__)

U32 = 2**32
HALF = 2**31
LOST_AT_ONCE = 1000
"""So many lost frames in a row are answered one by one; of more than that, the camera's count is not believed."""


class Receiver(Protocol):
    """Who makes parts of frames."""

    def announced(self, exposure: int, frame: Frame | None, error: Exception | None) -> None:
        """Take the next part: its frame, or why there is none."""


class Announcer:
    """Hands over every frame, and the lack of every frame that was lost. `run` is the body of a thread."""

    def __init__(
        self,
        camera: Camera,
        timeout_s: float,
        receiver: Receiver,
        *,
        steady: bool,
        every_counts: int = 0,
        belt: Callable[[float], int | None],
    ) -> None:
        """steady: whether a camera that sends nothing for `timeout_s` has failed, and the web passes unseen.

        every_counts: frames that are nearer than that to the last part on the belt are passed over. `belt` gives the
        encoder's count at a time, None where nobody knows.
        """
        self.passed_over = 0
        """Frames of a place that had been inspected."""
        self.lost = 0
        """Frames that the camera took, but that did not arrive."""
        self._camera, self._timeout_s, self._receiver = camera, timeout_s, receiver
        self._steady, self._every_counts, self._belt = steady, every_counts, belt
        self._exposure = 0
        self._place: int | None = None

    def run(self, stopping: threading.Event, exhausted: Callable[[], None]) -> None:
        """Hand over until the station stops; calls `exhausted` when the camera has played its last picture."""
        while not stopping.is_set():
            try:
                self._next()
            except CameraFinished:
                exhausted()
                return

    def _next(self) -> None:
        try:
            frame = self._camera.grab(self._timeout_s)
        except CameraFinished:
            raise
        except CameraTimeout as error:
            if self._steady and self._is_elsewhere(self._camera.clock()):
                self._receiver.announced(self._exposure, None, error)
        except FrameDamaged as error:
            self._fill(error.exposure)
            self._receiver.announced(error.exposure, None, error)
        else:
            self._fill(frame.exposure)
            if self._is_elsewhere(frame.arrived):
                self._receiver.announced(frame.exposure, frame, None)
            else:
                self.passed_over += 1

    def _fill(self, exposure: int) -> None:
        """Answer for the frames between the last one and this one."""
        missing = range(self._exposure + 1, exposure)
        self.lost += len(missing)
        if len(missing) > LOST_AT_ONCE:
            log.error("camera %s: found frame %d after %d", self._camera.address, exposure, self._exposure)
        for number in missing[-LOST_AT_ONCE:]:
            error = FrameDamaged(f"camera {self._camera.address}: frame {number} was lost on its way", number)
            self._receiver.announced(number, None, error)
        self._exposure = exposure

    def _is_elsewhere(self, at: float) -> bool:
        """Whether the belt has moved far enough since the last part, as far as that is known."""
        place = self._belt(at) if self._every_counts else None
        if place is None:
            return True
        if self._place is not None and abs((place - self._place + HALF) % U32 - HALF) < self._every_counts:
            return False
        self._place = place
        return True
