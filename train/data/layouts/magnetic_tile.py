"""The Magnetic Tile layout: `MT_<class>/Imgs/`, the folder naming the class, a mask beside each image."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from train.data.dataset import Dataset, MaskFile, Sample
from train.data.files import Refuse, raise_error, read_text, unused_files
from train.errors import DataError

MAGNETIC_TILE_CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
"""Alphabetical, which is the channel order; folder MT_Free holds the good parts."""

PART_GAP = 300
"""A new tile starts where the number N in `expK_num_N` jumps by more than this; neighbours that may share a tile
stay together."""

_CITATION = "Huang, Qiu, Yuan: Surface defect saliency of magnetic tile. The Visual Computer, 2020."
_GOOD = "Free"
_NAME = re.compile(r"exp\d+_num_(\d+)$")


def is_magnetic_tile(directory: Path) -> bool:
    """Whether the folder has this layout."""
    return any(directory.glob("MT_*"))


def read_magnetic_tile(directory: Path, refuse: Refuse = raise_error) -> Dataset:
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
    samples = [_tile(path, name, parts[_number(path)]) for path, name in images if _has_mask(path, refuse)]
    own = directory / "CITATION.txt"
    if own.is_file():
        name, citation = directory.resolve().name, read_text(own).strip()
    else:
        name, citation = "magnetic-tile", _CITATION
    used = {own, *(path for path, _ in images), *(path.with_suffix(".png") for path, _ in images)}
    return Dataset(name, MAGNETIC_TILE_CLASSES, tuple(samples), citation, unused_files(directory, used, refuse))


def _class_of(folder: Path) -> str:
    name = folder.name.removeprefix("MT_")
    if folder.name == name or name not in (*MAGNETIC_TILE_CLASSES, _GOOD):
        expected = ", ".join(f"MT_{known}" for known in (*MAGNETIC_TILE_CLASSES, _GOOD))
        raise DataError(f"{folder}: found an unknown class folder, expected one of {expected}; rename or remove it")
    return name


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in sorted((folder / "Imgs").glob("*")) if path.suffix.lower() in (".jpg", ".jpeg"))


def _has_mask(path: Path, refuse: Refuse) -> bool:
    mask = path.with_suffix(".png")
    if not mask.is_file():
        refuse(DataError(f"{path}: found no mask beside it, expected {mask.name}; add the mask or remove the image"))
    return mask.is_file()


def _tile(path: Path, name: str, part: str) -> Sample:
    mask = path.with_suffix(".png")
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
