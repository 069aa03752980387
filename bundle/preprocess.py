"""Preprocessing of a frame: crop, conversion to grey or RGB, resizing.

The only such code; training, calibration, export and the station all call it.
"""

from collections.abc import Sequence
from math import ceil
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from bundle.errors import FrameError
from bundle.frozen_model import FrozenModel
from bundle.tiling import MOST_PIXELS, Tiling

Image = NDArray[np.uint8]
_Side = Annotated[int, Field(ge=1)]
Sizes = tuple[tuple[_Side, _Side], tuple[_Side, _Side]]
"""Least height and width of some pictures, and their greatest."""


class Crop(FrozenModel):
    """A rectangle of the frame, in frame pixels."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class InputSpec(FrozenModel):
    """Size and channels of the network's input, with the crop of the frame.

    With tiles, height and width are those of the cropped frame, which is not resized, and the network sees one tile at
    a time; areas, masks and truth are of the whole input in both cases.
    """

    height: int = Field(ge=8, le=65536)
    width: int = Field(ge=8, le=65536)
    channels: int = Field(ge=1, le=3)
    crop: Crop | None = None
    tiles: Tiling | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse two channels, too many pixels, and tiles that do not fit."""
        if self.channels == 2:
            raise ValueError("channels is 2; expected 1 (grey) or 3 (RGB)")
        if self.height * self.width > MOST_PIXELS:
            raise ValueError(f"found {self.width}x{self.height} pixels, expected at most {MOST_PIXELS} in all")
        if self.tiles is not None and (problem := self.tiles.problem(self.height, self.width)) is not None:
            raise ValueError(problem)

    @model_serializer(mode="wrap")
    def _without_absent_tiles(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `tiles` out where there are none, so that bundles of format 1 keep their ids."""
        content: dict[str, Any] = dump(self)
        if self.tiles is None:
            content.pop("tiles", None)
        return content

    @property
    def network(self) -> "InputSpec":
        """The input of one run of the network: a tile, or all of it."""
        if self.tiles is None:
            return self
        return InputSpec(height=self.tiles.height, width=self.tiles.width, channels=self.channels)


def preprocess(frame: Image, spec: InputSpec) -> Image:
    """Preprocess one frame to the network's input.

    frame: uint8 [H, W] grey or [H, W, 3] RGB, any strides; it is only read.
    Returns a new uint8 array [channels, height, width]. Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601);
    a grey frame for a three-channel network is repeated. Each axis is resized by area where it shrinks and
    linearly where it grows; with tiles nothing is resized.
    Raises FrameError for another type or shape, a crop that does not lie within the frame, or another size with tiles.
    """
    check_frame(frame)
    part = _channels(seen(frame, spec), spec.channels)
    part = resize(part, spec.height, spec.width)
    planes = part[np.newaxis] if part.ndim == 2 else part.transpose(2, 0, 1)  # [C, H, W]
    return planes.copy() if np.may_share_memory(planes, frame) else np.ascontiguousarray(planes)


def resize(image: Image, height: int, width: int) -> Image:
    """Resize uint8 [H, W] or [H, W, C]; an axis is resized by area when shrinking and linearly when growing."""
    rows, columns = image.shape[:2]
    if height < rows:
        image = _shrink_height(image, height)
    elif height > rows:
        image = cv2.resize(image, (columns, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    if width < columns:
        upright: Image = cv2.transpose(image)  # type: ignore[assignment]
        image = cv2.transpose(_shrink_height(upright, width))  # type: ignore[assignment]
    elif width > columns:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return image


def _shrink_height(image: Image, height: int) -> Image:
    """Shrink to `height` rows by area.

    Columns do not mix, so four values of a row may pass as the channels of one pixel: OpenCV's loop over four channels
    takes a fifth less time than that over one, with the same values.
    """
    values = image.reshape(len(image), -1)
    pixels = values.reshape(len(image), -1, 1 if values.shape[1] % 4 else 4)
    made = cv2.resize(pixels, (pixels.shape[1], height), interpolation=cv2.INTER_AREA)
    return made.reshape(height, *image.shape[1:])  # type: ignore[return-value]


def resize_truth(mask: Image, height: int, width: int) -> Image:
    """Resize a label mask, uint8 [H, W], by nearest neighbour (exact), which adds no new values."""
    if mask.shape == (height, width):
        return mask
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[return-value]


def check_frame(frame: Image) -> None:
    """Raise FrameError unless the frame is uint8 [H, W] or [H, W, 3] with at least one pixel."""
    if frame is None:
        raise FrameError("frame: found None, expected uint8; OpenCV's imread gives None for a file that it cannot read")
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        found = getattr(frame, "dtype", type(frame).__name__)
        raise FrameError(f"frame: found {found}, expected uint8; convert it to 8 bits, at best in the camera")
    grey_or_rgb = frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3)
    if not grey_or_rgb or frame.size == 0:
        raise FrameError(f"frame: found shape {frame.shape}, expected [H, W] grey or [H, W, 3] RGB with some pixels")


LEAST_SHARE = 0.75
"""Of each side of the smallest picture learnt: small defects lose a quarter of their width and are still seen."""
LEAST_SHARE_OF_INPUT = 1 / 8
"""Of each side of the network's input, where it is not known what was learnt."""


def check_size(shape: Sequence[int], spec: InputSpec, learnt: Sizes | None) -> None:
    """Raise FrameError for a frame of this shape, height first, in which the network may not see what it learnt.

    learnt: sizes of the pictures before any crop. What is at least as large as the network's input has pixels enough.
    With a crop the frame must lie between the learnt sizes: in another one the crop lies elsewhere on the part.
    """
    found = f"found a frame of {shape[1]}x{shape[0]}"
    if spec.crop is not None and learnt is not None:
        least, most = learnt
        if not all(low <= side <= high for low, side, high in zip(least, shape, most, strict=False)):
            raise FrameError(
                f"{found}, expected {least[1]}x{least[0]} to {most[1]}x{most[0]} as the bundle learnt from, since its "
                "crop lies elsewhere on the part in another size; set the camera's resolution"
            )
        return
    inputs = spec.height, spec.width
    if learnt is None:
        height, width = (LEAST_SHARE_OF_INPUT * side for side in inputs)
        reason = f"an eighth of the network's input of {spec.width}x{spec.height}"
    else:
        least = learnt[0]
        height, width = (min(LEAST_SHARE * side, enough) for side, enough in zip(least, inputs, strict=True))
        reason = f"the bundle's input, or three quarters of {least[1]}x{least[0]}, the smallest picture that it learnt"
    if shape[0] < height or shape[1] < width:
        raise FrameError(
            f"{found}, expected at least {ceil(width)}x{ceil(height)}, {reason}: in fewer pixels its defects may not "
            "be seen; set the camera's resolution, or train with such pictures"
        )


def cropped(frame: Image, crop: Crop | None) -> Image:
    """View of the crop of a frame. Raises FrameError if it does not lie within the frame."""
    if crop is None:
        return frame
    height, width = frame.shape[:2]
    if crop.x + crop.width > width or crop.y + crop.height > height:
        raise FrameError(
            f"frame: found {width}x{height}, expected at least {crop.x + crop.width}x{crop.y + crop.height} "
            f"(width x height) for the crop of this bundle; set the camera's size or use another bundle"
        )
    return frame[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]


def seen(frame: Image, spec: InputSpec) -> Image:
    """View of the part of a frame that is judged. Raises FrameError if it does not fit the input."""
    part = cropped(frame, spec.crop)
    height, width = part.shape[:2]
    if spec.tiles is not None and (height, width) != (spec.height, spec.width):
        within = "" if spec.crop is None else " in the crop"
        raise FrameError(
            f"frame: found {width}x{height}{within}, expected {spec.width}x{spec.height} (width x height): tiles judge "
            "every pixel and nothing is resized; set the camera's size or a crop, or train with this size as input"
        )
    return part


def _channels(image: Image, channels: int) -> Image:
    if image.ndim == 3 and channels == 1:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
    if image.ndim == 2 and channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return image
