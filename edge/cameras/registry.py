"""The kinds of cameras by the first part of an address, with the file that opens each."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from time import monotonic

from edge.address import AddressOptions, kind_of, read_options, shown
from edge.cameras.camera import Camera, Clock
from edge.cameras.device import DeviceOptions
from edge.errors import CameraError


@dataclass(frozen=True)
class CameraKind:
    """One kind of camera; its file imports the vendor's package only when a camera is opened."""

    options: type[AddressOptions]
    open: Callable[[str, Clock], Camera]


FILES = {
    "file": "folder",
    "synthetic": "synthetic",
    "v4l2": "v4l2",
    "rtsp": "rtsp",
    "csi": "csi",
    "gst": "gstreamer",
    "genicam": "gentl",
    "aravis": "aravis",
}
"""File in this folder by kind; each defines `KIND`. A new kind is one file and one line here."""


def open_camera(address: str, clock: Clock = monotonic) -> Camera:
    """Open a camera by its address.

    Raises CameraError for an unknown kind or option, a value out of range, missing software, and a camera that is not
    there or does not support the options.
    """
    return find_kind(address).open(address, clock)


def live_options(address: str) -> DeviceOptions | None:
    """Return the options of a live camera, as the address has them; None for a camera that plays files or draws.

    Raises CameraError, as `open_camera` does, but opens nothing.
    """
    options = read_options(address, find_kind(address).options)
    return options if isinstance(options, DeviceOptions) else None


def find_kind(address: str) -> CameraKind:
    """Find the kind of an address; raises CameraError with the known kinds."""
    name = kind_of(address)
    if name not in FILES:
        known = ", ".join(f"{kind}://" for kind in FILES)
        raise CameraError(
            f"camera {shown(address)}: found the kind {name or 'none'!r}, expected one of {known}; correct the address"
        )
    return load_kind(name)


def load_kind(name: str) -> CameraKind:
    """Import one kind."""
    kind = import_module(f"edge.cameras.{FILES[name]}").KIND
    assert isinstance(kind, CameraKind)
    return kind
