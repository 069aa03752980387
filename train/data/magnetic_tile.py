"""Data sets as they lie on disk, by layout. The Magnetic Tile layout is read here."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from train.data.dataset import Dataset, MaskFile, Sample
from train.data.mask_folder import is_folder, read_folder
from train.data.severstal import is_severstal, read_severstal
from train.errors import DataError

MAGNETIC_TILE_CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
"""Alphabetical, which is the channel order; folder MT_Free holds the good parts."""

PART_GAP = 300
"""A new tile starts where the number N in `expK_num_N` jumps by more than this; neighbours that may share a tile
stay together."""

_CITATION = "Huang, Qiu, Yuan: Surface defect saliency of magnetic tile. The Visual Computer, 2020."
_GOOD = "Free"
_NAME = re.compile(r"exp\d+_num_(\d+)$")


def read_dataset(directory: Path) -> Dataset:
    """Read the data set in `directory`, whichever layout it has.

    Raises DataError if there is no such folder, no known layout, or an image without its label.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: found no such folder, expected a data set; check --data")
    if any(directory.glob("MT_*")):
        return read_magnetic_tile(directory)
    if is_severstal(directory):
        return read_severstal(directory)
    if is_folder(directory):
        return read_folder(directory)
    raise DataError(
        f"{directory}: found no known layout, expected images/ with masks/<class>/, or folders MT_<class>, "
        "or train.csv with train_images/"
    )


def read_magnetic_tile(directory: Path) -> Dataset:
    """Read `MT_<class>/Imgs/*.jpg` with a mask `*.png` beside each.

    The folder is the class. An image whose mask is empty keeps its class label but has no outline: it counts in the
    classification loss and metrics, not in the segmentation ones. A file CITATION.txt in the folder replaces the
    citation of the published images.
    """
    folders = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
    images = [(path, name) for folder in folders for name in [_class_of(folder)] for path in _images(folder)]
    if not images:
        raise DataError(f"{directory}: found no image, expected MT_<class>/Imgs/*.jpg")
    numbers = sorted(_number(path) for path, _ in images)
    parts = dict(zip(numbers, _part_names(numbers), strict=True))
    samples = (_tile(path, name, parts[_number(path)]) for path, name in images)
    own = directory / "CITATION.txt"
    if own.is_file():
        name, citation = directory.resolve().name, own.read_text(encoding="utf-8").strip()
    else:
        name, citation = "magnetic-tile", _CITATION
    return Dataset(name, MAGNETIC_TILE_CLASSES, tuple(samples), citation)


def _class_of(folder: Path) -> str:
    name = folder.name.removeprefix("MT_")
    if folder.name == name or name not in (*MAGNETIC_TILE_CLASSES, _GOOD):
        expected = ", ".join(f"MT_{known}" for known in (*MAGNETIC_TILE_CLASSES, _GOOD))
        raise DataError(f"{folder}: found an unknown class folder, expected one of {expected}; rename or remove it")
    return name


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in sorted((folder / "Imgs").glob("*")) if path.suffix.lower() in (".jpg", ".jpeg"))


def _tile(path: Path, name: str, part: str) -> Sample:
    mask = path.with_suffix(".png")
    if not mask.is_file():
        raise DataError(f"{path}: found no mask beside it, expected {mask.name}; add the mask or remove the image")
    outlines = tuple(MaskFile(mask) if name == known else None for known in MAGNETIC_TILE_CLASSES)
    return Sample(path, part, outlines)


def _number(path: Path) -> int:
    match = _NAME.match(path.stem)
    if match is None:
        raise DataError(f"{path}: found the name {path.stem}, expected expK_num_N, which says the part; rename it")
    return int(match[1])


def _part_names(ascending: Iterable[int]) -> Iterator[str]:
    """One name per number in ascending order: the first number of its run without a gap over PART_GAP."""
    first = last = None
    for number in ascending:
        if first is None or last is None or number - last > PART_GAP:
            first = number
        last = number
        yield f"tile-{first}"
