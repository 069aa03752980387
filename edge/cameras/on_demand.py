"""Camera that produces each frame when it is grabbed."""

import queue
import threading

from edge.cameras.camera import Camera, Clock
from edge.errors import CameraTimeout

RATE_HZ = 10.0


class OnDemandCamera(Camera):
    """Queue of exposures; a subclass produces the frame in `_grab`."""

    def __init__(self, address: str, clock: Clock, rate_hz: float = RATE_HZ) -> None:
        """rate_hz: frame rate in free run."""
        super().__init__(address, clock)
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._period_s = 1 / rate_hz
        self._pause = threading.Event()  # never set: an interruptible sleep
        self._next_at: float | None = None  # None: triggered, not in free run

    def _expose(self, exposure: int, age_s: float | None, after_s: float) -> None:
        self._waiting.put(exposure)

    def _start_free_run(self) -> None:
        self._next_at = self.clock()

    def _next_exposure(self, timeout_s: float) -> int:
        if self._next_at is not None:
            return self._unasked(self._next_at, timeout_s)
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            raise CameraTimeout(
                f"camera {self.address}: found no frame within {timeout_s:.3f} s, expected one for each trigger; "
                "check that the trigger reaches the camera"
            ) from None

    def _unasked(self, due: float, timeout_s: float) -> int:
        wait_s = due - self.clock()
        self._pause.wait(max(0.0, min(wait_s, timeout_s)))
        if wait_s > timeout_s:
            raise CameraTimeout(f"camera {self.address}: found no frame within {timeout_s:.3f} s; raise rate_hz")
        self._next_at = max(due, self.clock() - self._period_s) + self._period_s
        self._exposures += 1
        return self._exposures

    def close(self) -> None:
        """Do nothing: no resource is held."""
