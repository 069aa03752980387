"""Labelled images of a data set, with the truth mask of each class."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

import bundle
from bundle import FrameError, StoredImage
from train.errors import DataError

Image = NDArray[np.uint8]
Masks = NDArray[np.bool_]

MaskRule = Literal["above-127", "nonzero", "voc"]
"""Mask values that mean defect: grey above 127; all but 0 (palette index 0 in a palette); all but 0 and 255, the index
of Pascal VOC's borders around objects."""
_BORDER = 255
_LARGEST_INDEX = 31
"""Largest grey value beside 255 alone that is taken for the index of a class; Pascal VOC has 20."""


class Outline(Protocol):
    """Source of the truth mask of one class."""

    def load(self, height: int, width: int) -> Masks:
        """The mask, bool [height, width]. Raises DataError if it does not fit that size."""
        ...


@dataclass(frozen=True)
class MaskFile:
    """A mask stored as an image file."""

    path: Path
    may_be_empty: bool = True
    rule: MaskRule = "above-127"

    def load(self, height: int, width: int) -> Masks:
        """The mask, bool [height, width].

        Raises DataError if it is damaged, turned, of another size, empty by mistake, or does not fit the rule.
        """
        try:
            stored = bundle.read_stored(self.path)
        except FrameError as error:
            raise DataError(str(error)) from None
        mask = self._defect(stored)
        if mask.shape != (height, width):
            found, expected = f"{mask.shape[1]}x{mask.shape[0]}", f"{width}x{height}"
            raise DataError(f"{self.path}: found a mask of {found}, expected {expected} as its image; redraw the mask")
        if not self.may_be_empty and not mask.any():
            raise DataError(
                f"{self.path}: found an empty mask, expected pixels above 127; "
                "remove the file if the image has no such defect, or draw its outline"
            )
        return mask

    def _defect(self, stored: StoredImage) -> Masks:
        if stored.orientation != 1:
            raise self._error(f"a turned mask (EXIF orientation {stored.orientation})", "save it upright")
        pixels = stored.pixels
        if stored.mode == "alpha" and (pixels[..., 3] != np.iinfo(pixels.dtype).max).any():
            raise self._error("a mask with transparent pixels", "save it in grey, 255 where the defect is")
        if stored.mode == "palette" and self.rule != "above-127":
            return self._indexed(stored)
        if pixels.ndim == 3:
            if (pixels[..., :3] != pixels[..., :1]).any():
                kind = f"a palette of {len(stored.palette)} colours" if stored.mode == "palette" else "a mask in colour"
                raise self._error(kind, 'save it in grey, or state masks = "nonzero" in dataset.toml for a palette')
            pixels = pixels[..., 0]
        if self.rule == "voc":
            return np.asarray((pixels > 0) & (pixels != _BORDER))
        index = _index_beside_border(pixels)
        if index is not None:
            advice = f'state masks = "voc" in dataset.toml if {index} means defect and 255 a border, or save 0 and 255'
            raise self._error(f"the grey values {index} and 255", advice)
        if self.rule == "nonzero":
            return np.asarray(pixels > 0)
        largest, half = int(pixels.max()), int(np.iinfo(pixels.dtype).max) // 2
        if 0 < largest <= half:
            advice = f'state masks = "nonzero" in dataset.toml if {largest} means defect, or save 0 and 255'
            raise self._error(f"grey values up to {largest}", advice)
        return np.asarray(pixels > half)

    def _indexed(self, stored: StoredImage) -> Masks:
        """The mask of a palette, whose index 0 is the background."""
        mask = np.asarray((stored.pixels != stored.palette[0]).any(axis=-1))
        if len(stored.palette) <= _BORDER:
            return mask
        border = np.asarray((stored.pixels == stored.palette[_BORDER]).all(axis=-1))
        if self.rule == "voc":
            return np.asarray(mask & ~border)
        if (mask & border).any() and (mask & ~border).any():
            advice = 'state masks = "voc" in dataset.toml if 255 is a border, or save 0 and 255'
            raise self._error("a palette's index 255 beside another", advice)
        return mask

    def _error(self, found: str, advice: str) -> DataError:
        return DataError(
            f"{self.path}: found {found}, expected grey with pixels above 127 where the defect is; {advice}"
        )


def _index_beside_border(pixels: NDArray[Any]) -> int | None:
    """The value of a mask of 8 bits that holds nothing else but 0 and 255, where it is as small as a class's index."""
    if pixels.dtype != np.uint8:
        return None
    values = np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)[1:]) + 1
    return int(values[0]) if len(values) == 2 and values[1] == _BORDER and values[0] <= _LARGEST_INDEX else None


@dataclass(frozen=True)
class NotOutlined:
    """A class that the image has without an outline: it counts for the class, not for pixels."""

    def load(self, height: int, width: int) -> Masks:
        """An empty mask, bool [height, width]."""
        return np.zeros((height, width), dtype=np.bool_)


@dataclass(frozen=True)
class Sample:
    """One labelled image of a data set."""

    path: Path
    part: str
    """Name of the physical part it shows; several images may show one."""
    outlines: tuple[Outline | None, ...]
    """One per class in channel order, None where the image does not have the class."""
    bits: int | None = None
    """Depth of a 16-bit file's values, where the data set states it."""

    @property
    def labels(self) -> tuple[bool, ...]:
        """Presence of each class in the image, in channel order."""
        return tuple(outline is not None for outline in self.outlines)

    @property
    def good(self) -> bool:
        """Whether the image has no defect of any class."""
        return not any(self.labels)

    @property
    def outlined(self) -> bool:
        """Whether the image has an outlined defect."""
        return any(not isinstance(outline, (NotOutlined, type(None))) for outline in self.outlines)

    @cached_property
    def sha256(self) -> str:
        """Of the image file: the name under which a split knows the image."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror}); restore the image") from error

    def load_image(self) -> Image:
        """The image, uint8 [H, W] grey or [H, W, 3] RGB. Raises DataError if missing or damaged."""
        return read_image(self.path, bits=self.bits)

    def load_masks(self, height: int, width: int) -> Masks:
        """The truth masks of all classes, bool [C, height, width], at the size of the image."""
        masks = np.zeros((len(self.outlines), height, width), dtype=np.bool_)
        for mask, outline in zip(masks, self.outlines, strict=True):
            if outline is not None:
                mask[:] = outline.load(height, width)
        return masks


@dataclass(frozen=True)
class UnusedFile:
    """A file of the data set's folder that is not read."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Labelled images under one list of classes."""

    name: str
    classes: tuple[str, ...]
    """In channel order."""
    samples: tuple[Sample, ...]
    citation: str = ""
    """Reference to cite for the data."""
    unused: tuple[UnusedFile, ...] = ()
    """Every other file in the folder."""


def read_image(path: Path, grey: bool = False, bits: int | None = None) -> Image:
    """Read an image file whole: uint8 [H, W] if it is grey or `grey` is asked for, else [H, W, 3] RGB.

    bits: see `bundle.read_image`. Raises DataError for a file that is missing, damaged or no picture.
    """
    try:
        return bundle.read_image(path, grey, bits)
    except FrameError as error:
        raise DataError(str(error)) from None
