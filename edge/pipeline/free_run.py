"""Parts without a trigger message: each frame of a sensor-triggered or free-running camera is a part."""

import logging
import threading
from collections.abc import Callable

from edge.cameras.camera import Camera, Frame
from edge.errors import CameraFinished, CameraTimeout, FrameDamaged

log = logging.getLogger(__name__)

U32 = 2**32
HALF = 2**31
LOST_AT_ONCE = 1000
"""Lost frames in a row that become parts; a larger gap is a fault of the camera's counter, and is logged."""

OnFrame = Callable[[int, Frame | None, Exception | None], None]
"""Called with the exposure number, and the frame or the error that replaces it."""


class FreeRunLoop:
    """Reports every frame, and every lost frame as an error. `run` is the body of a thread."""

    def __init__(
        self,
        camera: Camera,
        timeout_s: float,
        on_frame: OnFrame,
        *,
        steady: bool,
        every_counts: int = 0,
        belt: Callable[[float], int | None],
    ) -> None:
        """steady: report a camera that sends nothing for `timeout_s` as an error.

        every_counts: skip frames nearer to the last part than this. belt: encoder count at a time of the station's
        clock, None if it is unknown.
        """
        self._camera, self._timeout_s, self._on_frame = camera, timeout_s, on_frame
        self._steady, self._every_counts, self._belt = steady, every_counts, belt
        self._exposure = 0
        self._place: int | None = None  # encoder count of the last part

    def run(self, stopping: threading.Event, exhausted: Callable[[], None]) -> None:
        """Report until the station stops; call `exhausted` after the last picture of a camera that plays files."""
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
            if self._steady and self._has_moved(self._camera.clock()):
                self._on_frame(self._exposure, None, error)
        except FrameDamaged as error:
            self._report_lost(error.exposure)
            self._on_frame(error.exposure, None, error)
        else:
            self._report_lost(frame.exposure)
            if self._has_moved(frame.arrived):
                self._on_frame(frame.exposure, frame, None)

    def _report_lost(self, exposure: int) -> None:
        """Report the frames that are missing between the last one and this one."""
        missing = range(self._exposure + 1, exposure)
        if len(missing) > LOST_AT_ONCE:
            log.error("camera %s: found frame %d after %d", self._camera.address, exposure, self._exposure)
        for number in missing[-LOST_AT_ONCE:]:
            error = FrameDamaged(f"camera {self._camera.address}: frame {number} was lost on its way", number)
            self._on_frame(number, None, error)
        self._exposure = exposure

    def _has_moved(self, at: float) -> bool:
        """Return false if the belt is known to be nearer than `every_counts` to the last part."""
        place = self._belt(at) if self._every_counts else None
        if place is None:
            return True
        if self._place is not None and abs((place - self._place + HALF) % U32 - HALF) < self._every_counts:
            return False
        self._place = place
        return True
