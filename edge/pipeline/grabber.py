"""Frame grabber of one camera: assigns each frame to the part of its exposure."""

import queue
from collections.abc import Callable
from typing import Protocol

from edge.cameras.camera import Camera, Frame
from edge.errors import FrameDamaged
from edge.part import Part


class FrameReceiver(Protocol):
    """Consumer of a grabber's frames."""

    def frame_arrived(self, part: Part, view: int, frame: Frame) -> None:
        """Accept the frame of view number `view` of a part."""

    def frame_missing(self, part: Part, view: int, error: Exception) -> None:
        """Accept the reason why view number `view` of a part has no frame."""


class Grabber:
    """Grabs the frames of a camera's views, in the order of the parts; frames of earlier exposures are discarded.

    `run` is the body of a thread; `parts` is its inbox, which None closes.
    """

    def __init__(self, views: range, camera: Camera, timeout_s: float, receiver: FrameReceiver) -> None:
        """views: their numbers in a part. timeout_s: longest wait for each frame after the one before."""
        self.parts: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self._views, self._camera, self._timeout_s, self._receiver = views, camera, timeout_s, receiver
        self._ahead: Frame | None = None
        """Frame that arrived before its part's turn, because the exposure before it was lost."""

    def run(self, exhausted: Callable[[], None]) -> None:
        """Grab until the inbox is closed; call `exhausted` after the last picture of a camera that plays files."""
        for part in iter(self.parts.get, None):
            timeout_s = self._timeout_s
            for view in self._views:
                try:
                    frame = self._frame_of(part.views[view].exposure, timeout_s)
                except Exception as error:  # the outermost loop: any error is a FAULT of this part
                    self._receiver.frame_missing(part, view, error)
                    timeout_s = (
                        0.0  # the part's other frames are of no use; those that come late, the next part discards
                    )
                else:
                    self._receiver.frame_arrived(part, view, frame)
            if self._camera.exhausted:
                exhausted()

    def _frame_of(self, exposure: int, timeout_s: float) -> Frame:
        frame, self._ahead = self._ahead, None
        while frame is None or frame.exposure < exposure:
            frame = self._grab(exposure, timeout_s)
        if frame.exposure > exposure:
            self._ahead = frame
            raise FrameDamaged(
                f"camera {self._camera.address}: exposure {exposure} was lost, {frame.exposure} came instead", exposure
            )
        return frame

    def _grab(self, exposure: int, timeout_s: float) -> Frame:
        """Grab a frame; damaged frames of earlier exposures are discarded, their parts are settled."""
        while True:
            try:
                return self._camera.grab(timeout_s)
            except FrameDamaged as error:
                if error.exposure >= exposure:
                    raise
