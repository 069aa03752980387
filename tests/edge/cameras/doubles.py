"""Doubles for devices: one that a test feeds by hand, and the dozen calls of OpenCV's V4L2."""

import queue
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import cv2
import numpy as np

from bundle import Image
from edge.cameras.camera import Clock
from edge.cameras.device import Device, DeviceLost, DeviceOptions, Received
from edge.cameras.live import LiveCamera
from edge.cameras.v4l2 import V4l2Device, V4l2Options
from edge.errors import CameraError

RETRY_S = (0.01,)


def grey(level: int, shape: tuple[int, ...] = (8, 8)) -> Image:
    """Make a picture of one grey level."""
    return np.full(shape, level, np.uint8)


class HandDevice(Device):
    """Sends what it is told to, at that moment; an exception is raised in its turn."""

    def __init__(self, shape: tuple[int, ...] = (8, 8), answers: Sequence[Image] = ()) -> None:
        self.shape = shape
        self.triggers = 0
        self.closed = threading.Event()
        self.idle = threading.Event()
        """Set when the camera has dealt with everything that was sent."""
        self._answers = list(answers)
        self._sent: queue.SimpleQueue[Received | Exception] = queue.SimpleQueue()

    def send(
        self, pixels: Image | None, stamp: float | None = None, problem: str = "", number: int | None = None
    ) -> None:
        """Send a frame."""
        self.idle.clear()
        self._sent.put(Received(pixels, monotonic() if stamp is None else stamp, problem, number))

    def fail(self, error: Exception) -> None:
        """End the connection."""
        self._sent.put(error)

    def receive(self, timeout_s: float) -> Received | None:
        """Hand over what was sent."""
        if self._sent.empty():
            self.idle.set()
        try:
            sent = self._sent.get(timeout=timeout_s) if timeout_s else self._sent.get_nowait()
        except queue.Empty:
            return None
        if isinstance(sent, Exception):
            raise sent
        return sent

    def trigger(self) -> None:
        """Send the next of the prepared answers, if there is one left."""
        self.triggers += 1
        if self._answers:
            self.send(self._answers.pop(0))

    def close(self) -> None:
        """Note it."""
        self.closed.set()


class SilentDevice(HandDevice):
    """Sends nothing; each wait for a frame takes as long as it may, on a clock of its own."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.now = 0.0
        self._wait_s = wait_s

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def receive(self, timeout_s: float) -> None:
        """Wait in vain."""
        self.now += self._wait_s


class Plug:
    """Socket for devices: each attempt to connect takes the next one, an exception is raised."""

    def __init__(self, *devices: Device | Exception) -> None:
        self._devices = list(devices)
        self.attempts = 0

    def __call__(self) -> Device:
        self.attempts += 1
        device = self._devices.pop(0) if self._devices else CameraError("found no device")
        if isinstance(device, Exception):
            raise device
        return device


def live(plug: Callable[[], Device], clock: Clock = monotonic, **options: Any) -> LiveCamera:
    """Open a camera on a plug; no latency, opened again after next to no pause."""
    chosen = DeviceOptions.model_validate({"latency_ms": 0, "black": -1, "saturated": 1, **options})
    return LiveCamera("hand://", clock, chosen, plug, back_off_s=RETRY_S)


class FakeCapture:
    """Keeps properties like a V4L2 driver, and delivers noise at 100 frames per second of real time."""

    def __init__(self, opened: bool = True, limits: dict[int, float] | None = None) -> None:
        self.properties: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: 64.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 48.0,
            cv2.CAP_PROP_FPS: 30.0,
        }
        self.released = False
        self.unplugged = False
        self.damaged = False
        self._opened, self._limits = opened, limits or {}
        self._rng = np.random.default_rng(1)
        self._next = monotonic()

    def isOpened(self) -> bool:
        return self._opened

    def get(self, number: int) -> float:
        return self.properties.get(number, 0.0)

    def set(self, number: int, value: float) -> bool:
        self.properties[number] = min(value, self._limits.get(number, value))
        return True

    def retrieve(self) -> tuple[bool, Image | None]:
        if self.damaged:
            return False, None
        height, width = int(self.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(self.get(cv2.CAP_PROP_FRAME_WIDTH))
        raw = self.properties.get(cv2.CAP_PROP_CONVERT_RGB) == 0
        pixels = self._rng.integers(0, 200, (height, width, 1 if raw else 3), dtype=np.uint8)
        pixels[..., 0] = 200  # blue, in OpenCV's order
        pixels[0, 0, 0] = self._rng.integers(0, 200)
        return True, pixels

    def release(self) -> None:
        self.released = True

    def wait_any(self, captures: list["FakeCapture"], timeout_ns: int) -> tuple[bool, list[int]]:
        """Stand in for `cv2.VideoCapture.waitAny`."""
        if self.unplugged:
            raise cv2.error("VIDIOC_DQBUF: No such device")
        wait_s = min(max(self._next - monotonic(), 0), timeout_ns / 1e9)
        threading.Event().wait(wait_s)
        if monotonic() < self._next:
            return False, []
        self._next += 0.01
        self.properties[cv2.CAP_PROP_POS_MSEC] = monotonic() * 1e3
        return True, [0]


def v4l2_device(capture: FakeCapture, **options: Any) -> V4l2Device:
    """Set up a V4L2 device over a double."""
    return V4l2Device("v4l2:///dev/video0", V4l2Options.model_validate(options), capture, capture.wait_any)


LOST = DeviceLost("found the cable pulled, expected it in")
