"""Cameras with a GenTL producer (a vendor's .cti file) through harvesters."""

import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from edge.address import place_of, read_options
from edge.cameras.camera import Clock
from edge.cameras.device import Device, DeviceLost, Received, check_settings
from edge.cameras.genicam_standard import GenicamOptions, announced_shape, to_image
from edge.cameras.live import LiveCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError

SHORTEST_WAIT_S = 0.001
"""harvesters reads a timeout of 0 as no timeout."""


class GentlOptions(GenicamOptions):
    """Options of `genicam://`."""

    cti: Path = Field(description="the vendor's GenTL producer, a .cti file")


class GentlDevice(Device):
    """One connection through harvesters."""

    def __init__(self, address: str, options: GentlOptions) -> None:
        """Connect to the camera, configure it, start it; raises CameraError."""
        self._core, self._error = _import_harvesters(address)
        if not options.cti.is_file():
            raise CameraError(f"camera {address}: found no file {options.cti}, expected a GenTL producer (.cti)")
        logging.getLogger("harvesters").setLevel(logging.ERROR)  # this file logs a lost connection itself
        self._incomplete = False
        self._acquirer: Any = None
        self._harvester = self._core.Harvester()
        try:
            self._harvester.add_file(str(options.cti))
            self._harvester.update()
            self._acquirer = self._harvester.create(self._find(address))
            self._start(address, options)
        except self._error as error:
            self.close()
            raise CameraError(
                f"camera {address}: cannot be used: {type(error).__name__}: {error}; check the options, "
                "and that no other program holds it"
            ) from None
        except CameraError:
            self.close()
            raise

    def receive(self, timeout_s: float) -> Received | None:
        """Return the oldest frame that has not been received yet."""
        try:
            buffer = self._acquirer.try_fetch(timeout=max(timeout_s, SHORTEST_WAIT_S))
            if buffer is None:
                return self._nothing()
            with buffer:
                return self._received(buffer)
        except self._error as error:
            raise DeviceLost(
                f"found {type(error).__name__}: {error}, expected a frame; check power and cable"
            ) from None

    def trigger(self) -> None:
        """Send a software trigger; raises DeviceLost."""
        try:
            self._nodes.TriggerSoftware.execute()
        except self._error as error:
            raise DeviceLost(f"found no answer to a software trigger ({error}), expected one") from None

    def close(self) -> None:
        """Stop the camera and close the connection."""
        if self._acquirer is not None:
            with suppress(self._error):
                self._acquirer.destroy()  # stops it first
        with suppress(self._error):
            self._harvester.reset()
        self._acquirer = None

    def _find(self, address: str) -> Any:
        """Find the device by id, serial number or user-defined name."""
        place, devices = place_of(address), self._harvester.device_info_list
        for device in devices:
            if place in ("", device.id_, device.serial_number, device.property_dict.get("user_defined_name")):
                return device
        known = ", ".join(f"{device.id_} (serial number {device.serial_number})" for device in devices) or "none"
        raise CameraError(f"camera {address}: found {known}, expected {place!r} by id, serial number or user's name")

    def _start(self, address: str, options: GentlOptions) -> None:
        self._nodes = self._acquirer.remote_device.node_map
        for name, value in _features(options, self._nodes):
            if getattr(self._nodes, name, None) is None:
                raise CameraError(f"camera {address}: found no feature {name} in it, expected it for these options")
            getattr(self._nodes, name).value = value
        nodes = self._nodes
        found = {"width": nodes.Width.value, "height": nodes.Height.value, "format": nodes.PixelFormat.value}
        found |= {"exposure_us": nodes.ExposureTime.value} if options.exposure_us is not None else {}
        found |= {"gain_db": nodes.Gain.value} if options.gain_db is not None else {}
        check_settings(address, options, found)
        self._format = found["format"]
        self.shape = announced_shape(address, self._format, found["height"], found["width"])
        self._acquirer.add_callback(
            self._acquirer.Events.INCOMPLETE_BUFFER, _incomplete_callback(self._core, self._note_incomplete)
        )
        self._acquirer.start()

    def _note_incomplete(self) -> None:
        self._incomplete = True

    def _nothing(self) -> Received | None:
        if not self._incomplete:
            return None
        self._incomplete = False
        return Received(None, None, "found it incomplete, expected every packet; check cable and network")

    def _received(self, buffer: Any) -> Received:
        stamp = self._stamp(buffer)
        component = buffer.payload.components[0]
        if component.data_format != self._format:
            found = component.data_format
            return Received(None, stamp, f"found pixel format {found}, expected {self._format} as announced on opening")
        try:
            return Received(to_image(component.data, self._format, component.height, component.width), stamp)
        except ValueError as error:
            return Received(None, stamp, str(error))

    def _stamp(self, buffer: Any) -> float | None:
        try:
            return float(buffer.timestamp_ns) / 1e9 or None
        except self._error:  # the device has no clock
            return None


def _features(options: GentlOptions, nodes: Any) -> list[tuple[str, Any]]:
    """List the features to set, in order, named as in the GenICam Standard Features Naming Convention."""
    wanted: list[tuple[str, Any]] = []
    optional = {"PixelFormat": options.format, "Width": options.width, "Height": options.height}
    wanted += [(name, value) for name, value in optional.items() if value is not None]
    if options.exposure_us is not None:
        wanted += [("ExposureAuto", "Off")] if hasattr(nodes, "ExposureAuto") else []
        wanted.append(("ExposureTime", options.exposure_us))
    if options.gain_db is not None:
        wanted += [("GainAuto", "Off")] if hasattr(nodes, "GainAuto") else []
        wanted.append(("Gain", options.gain_db))
    if options.trigger != "free":
        source = "Software" if options.trigger == "software" else options.line
        return [*wanted, ("TriggerSelector", "FrameStart"), ("TriggerMode", "On"), ("TriggerSource", source)]
    wanted += [("TriggerMode", "Off")] if hasattr(nodes, "TriggerMode") else []
    return wanted + ([("AcquisitionFrameRate", options.fps)] if options.fps is not None else [])


def _incomplete_callback(core: Any, note: Any) -> Any:
    class Note(core.Callback):  # type: ignore[misc]
        """Callback of harvesters for a dropped, incomplete buffer."""

        def emit(self, context: Any) -> None:
            note()

    return Note()


def _import_harvesters(address: str) -> tuple[Any, Any]:
    try:
        import harvesters.core as core
        from genicam.genapi import GenericException as GenapiError
        from genicam.gentl import GenericException as GentlError
    except ImportError as error:
        raise CameraError(
            f"camera {address}: found no harvesters ({error}), expected it: pip install edge-inspect[genicam]"
        ) from None
    return core, (GentlError, GenapiError)


def open_gentl(address: str, clock: Clock) -> LiveCamera:
    """Open `genicam://SERIAL?cti=/path/producer.cti`; without a place, the first camera found."""
    options = read_options(address, GentlOptions)
    return LiveCamera(address, clock, options, partial(GentlDevice, address, options))


KIND = CameraKind(GentlOptions, open_gentl)
