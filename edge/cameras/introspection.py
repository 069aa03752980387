"""GObject libraries (Aravis, GStreamer), whose Python interface comes from the system's own packages."""

import sys
from typing import Any

from edge.errors import CameraError


def load(namespace: str, version: str, package: str, address: str) -> Any:
    """Load one library's interface; raises CameraError with the package that is missing."""
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
    return getattr(__import__("gi.repository", fromlist=[namespace]), namespace)
