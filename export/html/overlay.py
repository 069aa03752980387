"""A frame beside itself with masks drawn in, one picture per network."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import Image, Threshold, encode_png

_COLOURS = np.array([(230, 60, 60), (60, 160, 230), (240, 190, 40), (80, 190, 90), (200, 90, 210)], np.uint8)  # RGB


def side_by_side(frame: Image, masks: Sequence[NDArray[np.uint8]], thresholds: Sequence[Threshold]) -> bytes:
    """Draw the outlines of each network's masks, uint8 [C, h, w], on a preprocessed frame, uint8 [C, H, W].

    PNG: the frame itself first, then one copy per network. A class has its colour whether or not it was found.
    """
    bare = cv2.cvtColor(frame[0], cv2.COLOR_GRAY2RGB) if len(frame) == 1 else frame.transpose(1, 2, 0)
    return encode_png(np.hstack([bare, *(_outlined(bare, one, thresholds) for one in masks)]))


def _outlined(bare: NDArray[np.generic], masks: NDArray[np.uint8], thresholds: Sequence[Threshold]) -> Image:
    drawn = np.array(bare, np.uint8, order="C")
    for index, (mask, threshold) in enumerate(zip(masks, thresholds, strict=True)):
        cells = (mask >= threshold.level).astype(np.uint8)
        large = cv2.resize(cells, drawn.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, _COLOURS[index % len(_COLOURS)].tolist(), 1)
    return drawn
