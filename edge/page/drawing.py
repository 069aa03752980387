"""A view of a part as a picture for the page: what was inspected, small enough for a browser, defects outlined."""

import cv2

from bundle import Manifest
from edge.part import View
from edge.records.overlay import inspected

LONGEST_PX = 800
"""Longer side of a picture on the page."""
QUALITY = 82
"""Of the JPEG, in percent."""


def drawn(view: View, manifest: Manifest) -> bytes | None:
    """Draw one view as JPEG; None where there is no frame."""
    image = inspected(view, manifest, LONGEST_PX)
    if image is None:
        return None
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"camera {view.camera}: the picture of {image.shape} could not be made a JPEG")
    return content.tobytes()
