"""Ignore regions of a camera's frame: fixtures, holes, engraved numbers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import FrameError, InputSpec, MaskSize, preprocess, read_image, resize
from edge.engines.engine import Outputs
from edge.errors import LineConfigError


class IgnoreRegion:
    """Mask of the size of the camera's frames, 255 where defects are ignored.

    A cell of the network's masks is ignored only if the region covers all of it, so that no defect beside the region is
    lost.
    """

    def __init__(self, mask: NDArray[np.uint8], spec: InputSpec, cells: MaskSize) -> None:
        covered = preprocess(mask, spec.model_copy(update={"channels": 1}))[0]
        self._shape = mask.shape
        self._ignored = resize(covered, cells.height, cells.width) == 255  # bool [h, w]

    def apply(self, scores: NDArray[np.float32], masks: NDArray[np.uint8], frame: tuple[int, ...]) -> Outputs:
        """Set the masks to 0 in the region; `frame` is the shape of the frame.

        scores: float32 [C]; masks: uint8 [C, h, w]. If the region holds the maximum of a class, the score of the class
        becomes its maximum outside. Raises FrameError if frame and region differ in size.
        """
        if frame[:2] != self._shape:
            raise FrameError(
                f"ignore region: found a frame of {frame[1]}x{frame[0]}, expected {self._shape[1]}x{self._shape[0]} "
                "(width x height) as the region; draw it on a picture of this camera"
            )
        left = np.where(self._ignored, np.uint8(0), masks)
        outside = left.max(axis=(1, 2)) / np.float32(255)
        lost = masks.max(axis=(1, 2)) > left.max(axis=(1, 2))
        return np.where(lost, outside, scores).astype(np.float32), left


def load_ignore(path: Path, spec: InputSpec, cells: MaskSize) -> IgnoreRegion:
    """Load an ignore region from an image; raises LineConfigError if it cannot be used with this bundle."""
    try:
        return IgnoreRegion(read_image(path, grey=True), spec, cells)
    except FrameError as error:
        raise LineConfigError(f"ignore region {path}: {error}") from None
