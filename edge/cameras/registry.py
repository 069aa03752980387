"""The kinds of cameras: the first part of an address, and the file that knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from edge.address import Options, kind_of, shown
from edge.cameras.camera import Camera, Clock
from edge.errors import CameraError


@dataclass(frozen=True)
class Kind:
    """One kind of camera; a kind's file imports its vendor's package only when a camera of it is opened."""

    options: type[Options]
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
"""File in this folder by the name of the kind; each has a `KIND`."""


def load_kind(name: str) -> Kind:
    """Import one kind."""
    kind = import_module(f"edge.cameras.{FILES[name]}").KIND
    assert isinstance(kind, Kind)
    return kind


def find_kind(address: str) -> Kind:
    """Find the kind of an address; raises CameraError with the known ones."""
    name = kind_of(address)
    if name not in FILES:
        known = ", ".join(f"{kind}://" for kind in FILES)
        raise CameraError(
            f"camera {shown(address)}: found the kind {name or 'none'!r}, expected one of {known}; correct the address"
        )
    return load_kind(name)
