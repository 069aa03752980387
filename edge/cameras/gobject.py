"""Loader of GObject libraries (Aravis, GStreamer), whose Python bindings are system packages."""

import ctypes
import importlib
import sys
from contextlib import suppress
from typing import Any

from edge.errors import CameraError


def load(namespace: str, version: str, package: str, address: str) -> Any:
    """Load one library's Python binding; raises CameraError with the missing system package."""
    python = f"{sys.executable} ({sys.version_info.major}.{sys.version_info.minor})"
    try:
        import gi
    except ImportError as error:
        raise CameraError(
            f"camera {address}: found no PyGObject for {python} ({error}), expected the system's: "
            f"apt-get install python3-gi {package}; a virtual environment must be of the system's own Python version "
            "and sees them if it was made with --system-site-packages"
        ) from None
    try:
        gi.require_version(namespace, version)
    except ValueError as error:
        raise CameraError(
            f"camera {address}: found no {namespace} {version} ({error}), expected it: apt-get install {package}"
        ) from None
    _keep_one_unwinder()
    return importlib.import_module(f"gi.repository.{namespace}")


def _keep_one_unwinder() -> None:
    """Make libraries loaded from now on unwind C++ exceptions with libgcc.

    GStreamer loads libunwind, which exports the same symbols as libgcc, into the process. A library that is loaded
    later (a GenTL producer, an inference engine) would mix the two and crash at its first exception.
    """
    with suppress(OSError):  # no GNU C library, no conflict
        ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)
