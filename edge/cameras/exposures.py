"""Exposures that wait to be grabbed, for cameras that make a frame on demand."""

import queue

from edge.camera import Camera, Clock
from edge.errors import CameraTimeout


class OnDemandCamera(Camera):
    """A camera whose frames are made when they are grabbed, one for each exposure."""

    def __init__(self, address: str, clock: Clock) -> None:
        super().__init__(address, clock)
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()

    def _expose(self, exposure: int) -> None:
        self._waiting.put(exposure)

    def _next_exposure(self, timeout_s: float) -> int:
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            raise CameraTimeout(
                f"camera {self.address}: found no frame within {timeout_s:.3f} s, expected one for each trigger; "
                "check that the trigger reaches the camera"
            ) from None

    def close(self) -> None:
        """Nothing is held."""
