"""Frame checks against a broken camera or lamp: frozen, black or saturated frames."""

import zlib

import numpy as np
from pydantic import Field

from bundle import Image
from edge.address import AddressOptions

STEP = 4
"""Brightness is measured on every fourth pixel of every fourth row, a sixteenth of the work."""
BRIGHT_SHARE = 1e-3
"""Share of bright pixels: hot pixels are fewer, a lit part has more."""


class FrameSanityOptions(AddressOptions):
    """Limits beyond which a frame is a FAULT."""

    frozen: bool = Field(default=True, description="1: a frame that is identical to the one before is a fault")
    black: int = Field(
        default=16,
        ge=-1,
        le=255,
        description="a frame in which less than 0.1 % of the pixels exceed this grey level is a fault; -1: none is",
    )
    saturated: float = Field(
        default=0.5, ge=0, le=1, description="a frame with a larger share of pixels at 255 is a fault; 1: none is"
    )


class FrameSanity:
    """Checks every frame of one device in order; see `FrameSanityOptions` for the limits."""

    def __init__(self, frozen: bool, black: int, saturated: float) -> None:
        self._frozen, self._black, self._saturated = frozen, black, saturated
        self._last: int | None = None

    def check(self, pixels: Image) -> str:
        """Return the problem of this frame (found, expected, what to do); empty if there is none."""
        before, self._last = self._last, zlib.crc32(np.ascontiguousarray(pixels).data)
        sample = pixels[::STEP, ::STEP]
        above = float(np.mean(sample > self._black))
        if above < BRIGHT_SHARE:
            return (
                f"found {above:.2%} of the pixels brighter than {self._black}, expected at least {BRIGHT_SHARE:.1%}; "
                "check lamp, lens cap and exposure"
            )
        full = float(np.mean(sample == 255))
        if full > self._saturated:
            return (
                f"found {full:.0%} of the pixels saturated, expected at most {self._saturated:.0%}; "
                "check lamp and exposure"
            )
        if self._frozen and before == self._last:
            return "found a frame identical to the one before, expected sensor noise between them; restart the camera"
        return ""
