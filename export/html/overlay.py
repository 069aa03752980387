"""A frame beside itself with masks drawn in, one picture per network."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import Image, Threshold, encode_png
from bundle.outlines import colour_of, draw_outlines, enlarged, outlines_of


def side_by_side(frame: Image, masks: Sequence[NDArray[np.uint8]], thresholds: Sequence[Threshold]) -> bytes:
    """Draw the outlines of each network's masks, uint8 [C, h, w], on a preprocessed frame, uint8 [C, H, W].

    PNG: the frame itself first, then one copy per network. A class has its colour whether or not it was found.
    """
    bare = cv2.cvtColor(frame[0], cv2.COLOR_GRAY2RGB) if len(frame) == 1 else frame.transpose(1, 2, 0)
    return encode_png(np.hstack([bare, *(_outlined(bare, one, thresholds) for one in masks)]))


def _outlined(bare: NDArray[np.generic], masks: NDArray[np.uint8], thresholds: Sequence[Threshold]) -> Image:
    drawn = np.array(bare, np.uint8, order="C")
    for index, (mask, threshold) in enumerate(zip(masks, thresholds, strict=True)):
        found = enlarged(mask >= threshold.level, *drawn.shape[:2])
        draw_outlines(drawn, outlines_of(found), colour_of(index))
    return drawn
