"""Random brightness and contrast of uint8 pixels."""

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from train.data.dataset import Image


def jittered(pixels: Image, brightness: float, contrast: float, generator: Generator) -> Image:
    """Jitter the contrast by up to the factor 1 +- `contrast`, the mean by up to `brightness` of full scale.

    Applied as a lookup table of 256 levels.
    """
    spread, moved = 1 + contrast * generator.uniform(-1, 1), 255 * brightness * generator.uniform(-1, 1)
    if spread == 1 and moved == 0:
        return pixels
    mean = pixels.mean()
    table = as_bytes((np.arange(256) - mean) * spread + mean + moved)
    return np.asarray(cv2.LUT(pixels.reshape(-1, pixels.shape[-1]), table), dtype=np.uint8).reshape(pixels.shape)


def as_bytes(values: NDArray[Any]) -> Image:
    """Round grey levels and clip them to 0 to 255."""
    clipped: Image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return clipped
