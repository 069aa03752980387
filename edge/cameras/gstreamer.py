"""Camera from any GStreamer pipeline through PyGObject; OpenCV from pip has no GStreamer."""

from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from bundle import Image
from edge.address import place_of, read_options, shown
from edge.cameras.camera import Clock
from edge.cameras.device import Device, DeviceLost, DeviceOptions, Received
from edge.cameras.gobject import load
from edge.cameras.live import LiveCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError

SINK = (
    " ! videoconvert ! video/x-raw,format=(string){GRAY8,RGB} ! appsink name=frames sync=false max-buffers=4 drop=true"
)
"""End of every pipeline: grey stays grey, all other formats become RGB; the queue drops the oldest frames."""
START_S = 10.0
"""Longest time from starting the pipeline to its first frame; a network source needs some seconds."""


class PipelineOptions(DeviceOptions):
    """Options of `gst://`; everything else is part of the pipeline description."""

    trigger: Literal["free", "hardware"] = Field(
        default="free", description="free: free run; hardware: a sensor triggers the camera"
    )


class PipelineDevice(Device):
    """One running pipeline."""

    def __init__(self, address: str, description: str) -> None:
        """Start the pipeline and wait for its first frame, which gives the shape; raises CameraError."""
        self._gst = load("Gst", "1.0", "gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base", address)
        error = load("GLib", "2.0", "gir1.2-glib-2.0", address).Error
        self._gst.init(None)
        try:
            self._pipeline = self._gst.parse_launch(description + SINK)
        except error as problem:
            raise CameraError(
                f"camera {address}: found no way to build the pipeline ({problem.message}), expected one that "
                "gst-launch-1.0 runs; correct it or install the plugin"
            ) from None
        self._sink = self._pipeline.get_by_name("frames")
        self._pipeline.set_state(self._gst.State.PLAYING)
        try:
            first = self.receive(START_S)
        except DeviceLost as lost:
            self.close()
            raise CameraError(f"camera {address}: {lost}") from None
        if first is None or first.pixels is None:
            self.close()
            raise CameraError(
                f"camera {address}: found no frame within {START_S:.0f} s, expected some; check its source"
            )
        self.shape = first.pixels.shape

    def receive(self, timeout_s: float) -> Received | None:
        """Return the oldest frame that has not been received yet."""
        sample = self._sink.emit("try-pull-sample", int(timeout_s * self._gst.SECOND))
        if sample is None:
            self._check()
            return None
        buffer = sample.get_buffer()
        stamp = None if buffer.pts == self._gst.CLOCK_TIME_NONE else buffer.pts / self._gst.SECOND
        caps = sample.get_caps().get_structure(0)
        readable, memory = buffer.map(self._gst.MapFlags.READ)
        if not readable:
            return Received(None, stamp, "found a frame that cannot be read, expected one in this computer's memory")
        try:
            data = np.frombuffer(memory.data, np.uint8)
            pixels = unpad(data, caps.get_value("height"), caps.get_value("width"), caps.get_value("format"))
        except ValueError as error:
            return Received(None, stamp, str(error))
        finally:
            buffer.unmap(memory)
        return Received(pixels, stamp)

    def close(self) -> None:
        """Stop the pipeline."""
        self._pipeline.set_state(self._gst.State.NULL)

    def _check(self) -> None:
        """Raise DeviceLost if the pipeline has reported an error or its end."""
        message = self._pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
        if message is not None:
            error, _ = message.parse_error()
            raise DeviceLost(f"found {error.message} in {message.src.get_name()}, expected a running pipeline")
        if self._sink.get_property("eos"):
            raise DeviceLost("found the end of the stream, expected it to go on; check its source")


def unpad(data: Image, height: int, width: int, name: str) -> Image:
    """Copy a GRAY8 or RGB frame without the padding of its rows (GStreamer aligns them to 4 bytes)."""
    channels = 1 if name == "GRAY8" else 3
    stride, rest = divmod(data.size, height)
    if rest or stride < width * channels:
        raise ValueError(f"found {data.size} bytes, expected {height} rows of at least {width * channels}")
    rows = data.reshape(height, stride)[:, : width * channels]
    return np.array(rows if channels == 1 else rows.reshape(height, width, channels))


def open_pipeline(address: str, clock: Clock) -> LiveCamera:
    """Open `gst://v4l2src device=/dev/video0 ! video/x-raw,width=640`; a `?` within it is written %3F."""
    options = read_options(address, PipelineOptions)
    name = shown(address)
    return LiveCamera(name, clock, options, partial(PipelineDevice, name, place_of(address)))


KIND = CameraKind(PipelineOptions, open_pipeline)
