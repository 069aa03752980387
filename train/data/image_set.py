"""A part of the data set in memory: every image preprocessed once, every mask packed into bits."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bundle import FrameError, InputSpec, preprocess, resize_truth
from bundle.preprocess import Sizes
from train.data.dataset import Image, Masks, Sample
from train.errors import DataError

Bits = NDArray[np.uint8]
"""[..., P, H, W]: the masks of the classes, eight to a byte, the first in the lowest bit."""


Draw = Literal["each", "balanced", "halves"]
"""Draw of an epoch's images; see `RunRecipe.draw`."""


@dataclass(frozen=True)
class ImageSet:
    """Images at the network's input size with their truth."""

    images: NDArray[np.uint8]
    """[N, channels, H, W]"""
    bits: Bits
    """[N, P, H, W]"""
    labels: NDArray[np.bool_]
    """[N, C]"""
    outlined: NDArray[np.bool_]
    """[N, C] False where the image has the class but an empty mask."""
    parts: tuple[str, ...] = ()
    """Names of the physical parts they show, [N]; empty where they are not known."""
    sizes: Sizes | None = None
    """Of the pictures before preprocessing; None of drawn ones."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Whether each image has no class, [N]."""
        good: NDArray[np.bool_] = ~np.any(self.labels, axis=1)
        return good

    @property
    def traced(self) -> NDArray[np.bool_]:
        """Whether each image has a class, and an outline of each class that it has, [N]."""
        traced: NDArray[np.bool_] = np.any(self.labels, axis=1) & np.all(self.outlined, axis=1)
        return traced

    def take(self, rows: NDArray[Any]) -> "ImageSet":
        """The images of these rows: their numbers, or bool [N]."""
        numbers = np.arange(len(self))[rows]
        names = tuple(self.parts[number] for number in numbers) if self.parts else ()
        images, bits, labels, drawn = (values[rows] for values in (self.images, self.bits, self.labels, self.outlined))
        return ImageSet(images, bits, labels, drawn, names, self.sizes)

    def masks(self, index: int) -> Masks:
        """The truth masks of one image, bool [C, H, W]."""
        return unpack(self.bits[index], self.labels.shape[1])


def load_images(samples: Sequence[Sample], spec: InputSpec, classes: int, workers: int = 4) -> ImageSet:
    """Load and preprocess all images of `samples`. Raises DataError for a damaged one."""
    planes = -(-classes // 8)
    images = np.zeros((len(samples), spec.channels, spec.height, spec.width), dtype=np.uint8)
    bits = np.zeros((len(samples), planes, spec.height, spec.width), dtype=np.uint8)
    sides = np.zeros((len(samples), 2), dtype=np.int64)

    def load(index: int) -> None:
        frame = samples[index].load_image()
        sides[index] = frame.shape[:2]
        try:
            images[index] = preprocess(frame, spec)
        except FrameError as error:
            raise DataError(f"{samples[index].path}: {error}") from None
        bits[index] = pack(truth_masks(samples[index], frame, spec))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(load, range(len(samples))))
    labels = np.array([sample.labels for sample in samples], dtype=np.bool_).reshape(len(samples), classes)
    parts = tuple(sample.part for sample in samples)
    return ImageSet(images, bits, labels, outlined(bits, labels), parts, _sizes_of(sides))


def truth_masks(sample: Sample, frame: Image, spec: InputSpec) -> Masks:
    """The truth masks of `sample`, whose image is `frame`, at the network's input size: bool [C, H, W]."""
    return at_input(cropped_masks(sample.load_masks(*frame.shape[:2]), spec), spec)


def cropped_masks(masks: Masks, spec: InputSpec) -> Masks:
    """The part of masks, bool [C, H, W], that the network sees."""
    crop = spec.crop
    return masks if crop is None else masks[:, crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]


def at_input(masks: Masks, spec: InputSpec) -> Masks:
    """Cropped masks at the network's input size; without a class an empty array of that size."""
    small = [resize_truth(mask.astype(np.uint8), spec.height, spec.width) for mask in masks]
    return np.array(small, dtype=np.bool_).reshape(len(masks), spec.height, spec.width)


def joined(sets: Iterable[ImageSet]) -> ImageSet:
    """All images of several sets."""
    sets = list(sets)
    known = all(part.parts for part in sets)
    sides = [side for part in sets if part.sizes for side in part.sizes]
    return ImageSet(
        np.concatenate([part.images for part in sets]),
        np.concatenate([part.bits for part in sets]),
        np.concatenate([part.labels for part in sets]),
        np.concatenate([part.outlined for part in sets]),
        tuple(name for part in sets for name in part.parts) if known else (),
        _sizes_of(np.array(sides, dtype=np.int64).reshape(-1, 2)),
    )


def _sizes_of(sides: NDArray[np.int64]) -> Sizes | None:
    """Sizes of pictures of these heights and widths, [N, 2]."""
    if not len(sides):
        return None
    least, most = sides.min(axis=0), sides.max(axis=0)
    return (int(least[0]), int(least[1])), (int(most[0]), int(most[1]))


def pack(masks: Masks) -> Bits:
    """Pack bool [C, H, W] into uint8 [P, H, W]."""
    bits = np.zeros((-(-len(masks) // 8), *masks.shape[1:]), dtype=np.uint8)
    for kind, mask in enumerate(masks):
        bits[kind // 8] |= mask.astype(np.uint8) << kind % 8
    return bits


def unpack(bits: Bits, classes: int) -> Masks:
    """Unpack uint8 [P, H, W] into bool [C, H, W]."""
    kinds = np.arange(classes, dtype=np.uint8)
    planes = bits[kinds // 8] >> (kinds % 8)[:, np.newaxis, np.newaxis] & 1  # numpy's unpackbits takes 18 times as long
    return planes.view(np.bool_)


def present(bits: Bits, classes: int) -> NDArray[np.bool_]:
    """Presence of each class in packed masks, uint8 [P, H, W]: bool [C]."""
    return unpack(np.bitwise_or.reduce(bits, axis=(1, 2), keepdims=True), classes)[:, 0, 0]


def outlined(bits: Bits, labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pairs [N, C] that have an outline: all but the positives with an empty mask."""
    drawn = np.array([present(one, labels.shape[1]) for one in bits], dtype=np.bool_)
    return ~labels | drawn.reshape(labels.shape)
