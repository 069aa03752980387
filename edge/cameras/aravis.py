"""GigE Vision and USB3 Vision cameras through Aravis."""

from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from edge.address import place_of, read_options
from edge.cameras.camera import Clock
from edge.cameras.device import Device, DeviceLost, Received, check_settings
from edge.cameras.genicam_standard import GenicamOptions, announced_shape, to_image
from edge.cameras.gobject import load
from edge.cameras.live import LiveCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError

BUFFERS = 8
"""Size of the buffer queue; the library drops frames beyond it."""


class AravisDevice(Device):
    """One connection through Aravis."""

    def __init__(self, address: str, options: GenicamOptions) -> None:
        """Connect to the camera, configure it, start it; raises CameraError."""
        self._aravis = load("Aravis", "0.8", "gir1.2-aravis-0.8", address)
        self._error = load("GLib", "2.0", "gir1.2-glib-2.0", address).Error
        self._camera: Any = None
        self._lost = False
        try:
            self._camera = self._aravis.Camera.new(place_of(address) or None)
            self._start(address, options)
        except self._error as error:
            self.close()
            raise CameraError(
                f"camera {address}: cannot be used: {error.message}; check that it has power and a network, that no "
                "other program holds it, and the options"
            ) from None
        except CameraError:
            self.close()
            raise

    def receive(self, timeout_s: float) -> Received | None:
        """Return the oldest frame that has not been received yet."""
        if self._lost:
            raise DeviceLost("found the connection ended by the camera, expected it to hold; check power and cable")
        buffer = self._stream.timeout_pop_buffer(int(timeout_s * 1e6))
        if buffer is None:
            return None
        try:
            return self._received(buffer)
        finally:
            self._stream.push_buffer(buffer)

    def trigger(self) -> None:
        """Send a software trigger; raises DeviceLost."""
        try:
            self._camera.software_trigger()
        except self._error as error:
            raise DeviceLost(f"found no answer to a software trigger ({error.message}), expected one") from None

    def close(self) -> None:
        """Stop the camera and close the connection."""
        self._stream: Any = None
        if self._camera is not None:
            with suppress(self._error):
                self._camera.stop_acquisition()
        self._camera = None

    def _start(self, address: str, options: GenicamOptions) -> None:
        camera, aravis = self._camera, self._aravis
        camera.get_device().connect("control-lost", self._note_loss)
        configure(aravis, camera, options)
        _, _, width, height = camera.get_region()
        self._format, self._format_number = camera.get_pixel_format_as_string(), camera.get_pixel_format()
        found = {"width": width, "height": height, "format": self._format}
        if options.exposure_us is not None:
            found["exposure_us"] = camera.get_exposure_time()
        if options.gain_db is not None:
            found["gain_db"] = camera.get_gain()
        check_settings(address, options, found)
        self.shape = announced_shape(address, self._format, height, width)
        self._stream = camera.create_stream(None, None)
        for _ in range(BUFFERS):
            self._stream.push_buffer(aravis.Buffer.new_allocate(camera.get_payload()))
        camera.start_acquisition()

    def _note_loss(self, _device: Any) -> None:
        self._lost = True

    def _received(self, buffer: Any) -> Received:
        stamp, number = buffer.get_timestamp() / 1e9 or None, buffer.get_frame_id()
        status = buffer.get_status()
        if status != self._aravis.BufferStatus.SUCCESS:
            found = status.value_nick
            return Received(
                None, stamp, f"found it incomplete ({found}), expected every packet; check the network", number
            )
        if buffer.get_image_pixel_format() != self._format_number:
            found = hex(buffer.get_image_pixel_format())
            problem = f"found pixel format {found}, expected {self._format} as announced on opening"
            return Received(None, stamp, problem, number)
        data = np.frombuffer(buffer.get_data(), np.uint8)
        try:
            pixels = to_image(data, self._format, buffer.get_image_height(), buffer.get_image_width())
        except ValueError as error:
            return Received(None, stamp, str(error), number)
        return Received(pixels, stamp, number=number)


def configure(aravis: Any, camera: Any, options: GenicamOptions) -> None:
    """Write the options to an Aravis camera."""
    if options.format is not None:
        camera.set_pixel_format_from_string(options.format)
    if options.width or options.height:
        x, y, width, height = camera.get_region()
        camera.set_region(x, y, options.width or width, options.height or height)
    if options.exposure_us is not None:
        if camera.is_exposure_auto_available():
            camera.set_exposure_time_auto(aravis.Auto.OFF)
        camera.set_exposure_time(options.exposure_us)
    if options.gain_db is not None:
        if camera.is_gain_auto_available():
            camera.set_gain_auto(aravis.Auto.OFF)
        camera.set_gain(options.gain_db)
    camera.clear_triggers()
    if options.trigger == "free":
        if options.fps is not None:
            camera.set_frame_rate(options.fps)
    else:
        camera.set_trigger("Software" if options.trigger == "software" else options.line)


def open_aravis(address: str, clock: Clock) -> LiveCamera:
    """Open `aravis://192.168.1.20` or `aravis://Vendor-Model-Serial`; without a place, the first camera found."""
    options = read_options(address, GenicamOptions)
    return LiveCamera(address, clock, options, partial(AravisDevice, address, options))


KIND = CameraKind(GenicamOptions, open_aravis)
