"""Frames that a broken camera or lamp sends: frozen, black or saturated."""

import zlib

import numpy as np
from pydantic import Field

from bundle import Image
from edge.address import AddressOptions

STEP = 4
"""Brightness is judged on every fourth pixel of every fourth row: a sixteenth of the work, for a verdict on areas."""
BRIGHT_SHARE = 1e-3
"""Hot pixels are fewer than this; a part under light has more."""


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
    """Looks at every frame of one device, in their order; see `FrameSanityOptions` for the limits."""

    def __init__(self, frozen: bool, black: int, saturated: float) -> None:
        self._frozen, self._black, self._saturated = frozen, black, saturated
        self._last: int | None = None

    def check(self, pixels: Image) -> str:
        """Say what is wrong with this frame: found, expected, what to do; empty if nothing is."""
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
            return "found the very picture of the frame before, expected some noise between them; restart the camera"
        return ""
