"""One labelled image: where it lies, which part it shows, which classes it has, how its masks load."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import bundle
from bundle import FrameError
from train.errors import DataError

Image = NDArray[np.uint8]
Masks = NDArray[np.bool_]


class Outline(Protocol):
    """Where the truth mask of one class comes from."""

    def load(self, height: int, width: int) -> Masks:
        """The mask, bool [height, width]. Raises DataError if it does not fit that size."""
        ...


@dataclass(frozen=True)
class MaskFile:
    """A mask that is an image file, of which pixels above 127 are defect."""

    path: Path
    may_be_empty: bool = True

    def load(self, height: int, width: int) -> Masks:
        """The mask, bool [height, width]. Raises DataError if it is damaged, of another size, or empty by mistake."""
        mask = read_image(self.path, grey=True)
        if mask.shape != (height, width):
            found, expected = f"{mask.shape[1]}x{mask.shape[0]}", f"{width}x{height}"
            raise DataError(f"{self.path}: found a mask of {found}, expected {expected} as its image; redraw the mask")
        if not self.may_be_empty and not (mask > 127).any():
            raise DataError(
                f"{self.path}: found an empty mask, expected pixels above 127; "
                "remove the file if the image has no such defect, or draw its outline"
            )
        return mask > 127


@dataclass(frozen=True)
class Sample:
    """One labelled image of a data set."""

    path: Path
    part: str
    """Name of the physical part it shows; several images may show one."""
    outlines: tuple[Outline | None, ...]
    """One per class in channel order, None where the image does not have the class."""

    @property
    def labels(self) -> tuple[bool, ...]:
        """Which classes the image has, in channel order."""
        return tuple(outline is not None for outline in self.outlines)

    @property
    def good(self) -> bool:
        """Whether the image has no defect of any class."""
        return not any(self.labels)

    @cached_property
    def sha256(self) -> str:
        """Of the image file: the name under which a split knows the image."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror}); restore the image") from error

    def load_image(self) -> Image:
        """The image, uint8 [H, W] grey or [H, W, 3] RGB. Raises DataError if missing or damaged."""
        return read_image(self.path)

    def load_masks(self, height: int, width: int) -> Masks:
        """The truth masks of all classes, bool [C, height, width], at the size of the image."""
        masks = np.zeros((len(self.outlines), height, width), dtype=np.bool_)
        for mask, outline in zip(masks, self.outlines, strict=True):
            if outline is not None:
                mask[:] = outline.load(height, width)
        return masks


@dataclass(frozen=True)
class Dataset:
    """Labelled images under one list of classes."""

    name: str
    classes: tuple[str, ...]
    """In channel order."""
    samples: tuple[Sample, ...]
    citation: str = ""
    """Whom to cite for the data."""


def read_image(path: Path, grey: bool = False) -> Image:
    """Read an image file whole: uint8 [H, W] if it is grey or `grey` is asked for, else [H, W, 3] RGB.

    Raises DataError for a file that is missing, cut off or no picture.
    """
    try:
        return bundle.read_image(path, grey)
    except FrameError as error:
        raise DataError(str(error)) from None
