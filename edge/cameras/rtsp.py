"""Network cameras (RTSP) through OpenCV's FFmpeg back end; only the newest frame is kept."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

import cv2
import numpy as np
from pydantic import Field

from edge.address import credentials_of, kind_of, read_options, shown
from edge.cameras.camera import Clock
from edge.cameras.device import Device, DeviceLost, DeviceOptions, Received
from edge.cameras.live import CLOSE_S, LiveCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError

USER_INFO = ":%!$&'()*+,;=~-._"
"""Characters of credentials that stay as they are: RFC 3986, section 3.2.1, percent-encoded ones included."""


class RtspOptions(DeviceOptions):
    """Options of `rtsp://`; a network camera has no trigger input."""

    trigger: Literal["free"] = Field(default="free", description="free: free run")
    latency_ms: float = Field(
        default=1000, ge=0, le=10_000, description="as above; the encoder and its buffer add to it"
    )
    frame_timeout_ms: float = Field(default=3000, gt=0, le=60_000, description="as above, longer than `latency_ms`")
    open_timeout_ms: int = Field(default=5000, ge=100, le=60_000, description="from connecting to the first frame")


class RtspDevice(Device):
    """One connection; a thread decodes every frame and keeps the newest."""

    def __init__(
        self, address: str, stream: str, options: RtspOptions, open_capture: Callable[..., Any] = cv2.VideoCapture
    ) -> None:
        """Connect and wait for the first frame; raises CameraError."""
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, options.open_timeout_ms]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(options.silence_ms)]
        self._capture = open_capture(stream, cv2.CAP_FFMPEG, limits)
        good, pixels = self._capture.read()
        if not good:
            self._capture.release()
            raise CameraError(
                f"camera {address}: found no picture, expected a video stream's first within "
                f"{options.open_timeout_ms / 1e3:.1f} s; check address, password and network"
            )
        self.shape = pixels.shape
        self._newest: Received | None = None
        self._ended = ""
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="rtsp", daemon=True)
        self._thread.start()

    def receive(self, timeout_s: float) -> Received | None:
        """Return the newest frame, if it is unread."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or bool(self._ended), timeout_s)
            newest, self._newest = self._newest, None
            if newest is None and self._ended:
                raise DeviceLost(f"{self._ended}, expected it to go on; check camera and network")
        return newest

    def close(self) -> None:
        """Close the connection."""
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _read(self) -> None:
        ended = "found the stream ended or silent"
        try:
            while not self._closing.is_set() and (read := self._capture.read())[0]:
                received = Received(np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB), np.uint8))
                with self._changed:
                    self._newest = received
                    self._changed.notify_all()
        except Exception as error:  # the outermost loop of the thread: the device is lost
            ended = f"found the stream ended by {type(error).__name__}: {error}"
        finally:
            self._capture.release()
            with self._changed:
                self._ended = ended
                self._changed.notify_all()


def stream_of(address: str) -> str:
    """Return the stream's address: without the options, with `%3F` decoded, and credentials percent-encoded."""
    kind, credentials = kind_of(address), credentials_of(address)
    place = address[len(kind) + 3 + (len(credentials) + 1 if credentials else 0) :].partition("?")[0]
    user = f"{quote(credentials, safe=USER_INFO)}@" if credentials else ""
    return f"{kind}://{user}{place.replace('%3F', '?').replace('%3f', '?')}"


def open_rtsp(address: str, clock: Clock) -> LiveCamera:
    """Open `rtsp://user:password@host/path`."""
    options = read_options(address, RtspOptions)
    name = shown(address)
    return LiveCamera(name, clock, options, partial(RtspDevice, name, stream_of(address), options))


KIND = CameraKind(RtspOptions, open_rtsp)
