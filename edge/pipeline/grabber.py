"""One camera's frames, each brought to the part whose exposure it is."""

import queue
from collections.abc import Callable
from typing import Protocol

from edge.cameras.camera import Camera, Frame
from edge.errors import FrameDamaged
from edge.part import Part


class Receiver(Protocol):
    """Who wants the frames."""

    def frame_arrived(self, part: Part, camera: int, frame: Frame) -> None:
        """Take this part's frame of camera number `camera`."""

    def frame_missing(self, part: Part, error: Exception) -> None:
        """Learn why this part has no frame."""


class Grabber:
    """Grabs for each part in its turn. A frame that nobody waits for any more is grabbed and let go.

    `run` is the body of a thread; `parts` is its inbox, which None closes.
    """

    def __init__(self, number: int, camera: Camera, timeout_s: float, receiver: Receiver) -> None:
        self.parts: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self.discarded = 0
        """Frames of earlier exposures than the one that was due."""
        self._number, self._camera, self._timeout_s, self._receiver = number, camera, timeout_s, receiver
        self._ahead: Frame | None = None
        """A frame that came before its part's turn, because an exposure was lost."""

    def run(self, exhausted: Callable[[], None]) -> None:
        """Grab until the inbox is closed; calls `exhausted` when the camera has played its last picture."""
        for part in iter(self.parts.get, None):
            try:
                frame = self._frame_of(part.views[self._number].exposure)
            except Exception as error:  # whatever it was, this part has no frame
                self._receiver.frame_missing(part, error)
            else:
                self._receiver.frame_arrived(part, self._number, frame)
            if self._camera.exhausted:
                exhausted()

    def _frame_of(self, exposure: int) -> Frame:
        frame, self._ahead = self._ahead, None
        while frame is None or frame.exposure < exposure:
            self.discarded += frame is not None
            frame = self._grab(exposure)
        if frame.exposure > exposure:
            self._ahead = frame
            raise FrameDamaged(
                f"camera {self._camera.address}: exposure {exposure} was lost, {frame.exposure} came instead", exposure
            )
        return frame

    def _grab(self, exposure: int) -> Frame:
        """Grab a frame, passing over those of earlier exposures that cannot be read: nobody waits for them."""
        while True:
            try:
                return self._camera.grab(self._timeout_s)
            except FrameDamaged as error:
                if error.exposure >= exposure:
                    raise
                self.discarded += 1
