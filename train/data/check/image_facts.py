"""Measures of single pictures and their masks, by which a data set is checked."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

import bundle
from bundle import FrameError, InputSpec, preprocess
from train.data.dataset import Image, Masks, Sample
from train.data.duplicates import detail_of
from train.data.image_set import at_input, cropped_masks
from train.errors import DataError

_COLOUR_LEVELS = 3.0
"""Mean difference between the channels of a picture from which on it counts as coloured; JPEG alone gives about 1."""


@dataclass(frozen=True)
class DefectSize:
    """One class in one picture."""

    class_index: int
    input_px: float
    """Root of the area of the largest blob, in pixels of the network's input."""
    vanished: bool
    """Whether the mask has no pixel left at the network's input size."""


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """One picture with its masks."""

    sample: Sample
    height: int
    width: int
    is_colour: bool
    """Whether its channels differ, not only whether it has three."""
    colour_contrast: float
    """Largest difference in colour between a class's defects and the picture, in levels; 0 in grey."""
    bits: int
    mean: float
    """Of all channels, 0 to 255."""
    channel_means: tuple[float, ...]
    """Three numbers, 0 to 1."""
    channel_squares: tuple[float, ...]
    """Means of the squares, 0 to 1."""
    saturated: float
    """Share of the pixels at 255."""
    defects: tuple[DefectSize, ...]
    detail: NDArray[np.float32] | None


def facts_or_error(sample: Sample, spec: InputSpec, with_detail: bool) -> ImageFacts | DataError:
    """Facts of one picture, or why it cannot be used."""
    try:
        return _facts(sample, spec, with_detail)
    except DataError as error:
        return error


def _facts(sample: Sample, spec: InputSpec, with_detail: bool) -> ImageFacts:
    frame = sample.load_image()
    try:
        stored = bundle.read_stored(sample.path)
        preprocess(frame, spec)
    except FrameError as error:
        raise DataError(f"{sample.path}: {str(error).removeprefix(f'{sample.path}: ')}") from None
    height, width = frame.shape[:2]
    same_size = stored.orientation in (2, 3, 4) or (stored.orientation != 1 and height == width)
    if same_size and not sample.good:
        raise DataError(
            f"{sample.path}: found a picture that its EXIF mark turns ({stored.orientation}) in its own size, "
            "expected one whose mask shows how it was drawn; save the picture upright and check its masks"
        )
    drawn = sample.load_masks(height, width)
    masks = cropped_masks(drawn, spec)
    channels = frame.reshape(-1, 1 if frame.ndim == 2 else 3).astype(np.float32) / 255
    means, squares = channels.mean(axis=0), np.square(channels).mean(axis=0)
    return ImageFacts(
        sample,
        height,
        width,
        _is_colour(frame),
        _colour_contrast(frame, drawn),
        stored.bits or sample.bits or 8,
        float(means.mean() * 255),
        tuple(np.broadcast_to(means, 3).tolist()),
        tuple(np.broadcast_to(squares, 3).tolist()),
        float((frame == 255).mean()),
        tuple(_defect_sizes(masks, spec)),
        detail_of(frame) if with_detail else None,
    )


def _is_colour(frame: Image) -> bool:
    if frame.ndim == 2:
        return False
    values = frame[::4, ::4].astype(np.int16)
    return float((values.max(axis=2) - values.min(axis=2)).mean()) > _COLOUR_LEVELS


def _colour_contrast(frame: Image, masks: Masks) -> float:
    """Difference of red and blue from green, on each class's mask against the whole picture."""
    if frame.ndim == 2:
        return 0.0
    usual = _opponents(frame[::4, ::4].reshape(-1, 3))
    drawn = (frame[mask] for mask in masks if mask.any())
    return max((float(np.abs(_opponents(pixels) - usual).max()) for pixels in drawn), default=0.0)


def _opponents(pixels: Image) -> NDArray[np.float64]:
    """Means of red and blue minus that of green; pixels uint8 [N, 3]."""
    red, green, blue = pixels.mean(axis=0)
    return np.array([red - green, blue - green])


def _defect_sizes(masks: NDArray[np.bool_], spec: InputSpec) -> Iterator[DefectSize]:
    share = spec.height * spec.width / (masks.shape[1] * masks.shape[2])
    for index, (mask, small) in enumerate(zip(masks, at_input(masks, spec), strict=True)):
        if mask.any():
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
            area = int(stats[1:, cv2.CC_STAT_AREA].max())
            yield DefectSize(index, float(np.sqrt(area * share)), not small.any())
