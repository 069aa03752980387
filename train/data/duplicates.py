"""Pictures that are in a data set twice: the same file by its hash, nearly the same by their detail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.dataset import Dataset, Image, Sample, UnusedFile
from train.data.files import Refuse
from train.errors import DataError

DETAIL_PX = 64
"""Side to which a picture is reduced before its detail is compared."""
SAME_DETAIL = 0.95
"""Correlation of detail from which on two pictures are nearly the same; exposures of two parts stay far below."""
_FEWEST = 10
"""Pictures from which on that which all of them share (fixture, edges, light) can be told from their own detail."""
_COMPARED = 256
"""Pictures that are compared with all later ones in one matrix product, many times as fast as one by one."""
_LEAST_DETAIL = 0.2
"""Deviation in grey levels below which a picture has no detail to compare."""


def without_duplicates(dataset: Dataset, refuse: Refuse) -> Dataset:
    """The data set with each picture once, by the sha256 of its file; parts that share a picture become one part.

    Refuses a picture whose copies have different classes or masks.
    """
    copies: dict[str, list[Sample]] = {}
    for sample in dataset.samples:
        copies.setdefault(sample.sha256, []).append(sample)
    if len(copies) == len(dataset.samples):
        return dataset
    for same in copies.values():
        for sample in same[1:]:
            _check_alike(same[0], sample, dataset.classes, refuse)
    part_of = _joined_parts(copies)
    samples = tuple(replace(same[0], part=part_of[same[0].part]) for same in copies.values())
    twice = (
        UnusedFile(sample.path, f"the same picture as {same[0].path}")
        for same in copies.values()
        for sample in same[1:]
    )
    return replace(dataset, samples=samples, unused=(*dataset.unused, *twice))


def near_duplicates(details: Sequence[NDArray[np.float32]]) -> Iterator[tuple[int, int, float]]:
    """Pairs of pictures (first index, second index, correlation) of nearly the same detail, see `detail_of`."""
    if len(details) < _FEWEST:
        return
    unit = np.stack([detail.ravel() for detail in details])
    unit -= np.median(unit, axis=0)
    spread = unit.std(axis=1, keepdims=True)
    unit *= np.where(spread > _LEAST_DETAIL, 1 / np.maximum(spread, 1e-6), 0) / np.sqrt(unit.shape[1])
    for start in range(0, len(unit), _COMPARED):
        likeness = unit[start : start + _COMPARED] @ unit[start:].T
        for row, column in np.argwhere(np.triu(likeness >= SAME_DETAIL, k=1)):
            yield start + int(row), start + int(column), float(likeness[row, column])


def detail_of(image: Image) -> NDArray[np.float32]:
    """Fine structure of a picture without its slow changes of light: float32 [64, 64] in grey levels."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey.astype(np.float32), (DETAIL_PX, DETAIL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), 4), dtype=np.float32)


def _check_alike(first: Sample, second: Sample, classes: Sequence[str], refuse: Refuse) -> None:
    if first.labels == second.labels and (first.good or _same_masks(first, second, refuse)):
        return
    refuse(
        DataError(
            f"{second.path}: found the same picture as {first.path} with another label ({_named(second, classes)}, "
            f"there {_named(first, classes)}), expected one label; remove the wrong one"
        )
    )


def _same_masks(first: Sample, second: Sample, refuse: Refuse) -> bool:
    try:
        size = first.load_image().shape[:2]
        return np.array_equal(first.load_masks(*size), second.load_masks(*size))
    except DataError as error:
        refuse(error)
        return True


def _named(sample: Sample, classes: Sequence[str]) -> str:
    names = [name for name, has in zip(classes, sample.labels, strict=True) if has]
    return ", ".join(names) if names else "good"


def _joined_parts(copies: Mapping[str, Sequence[Sample]]) -> dict[str, str]:
    """The name under which each part goes on: the first of all parts that shared pictures connect."""
    part_of = {sample.part: sample.part for same in copies.values() for sample in same}

    def first(part: str) -> str:
        while part_of[part] != part:
            part = part_of[part]
        return part

    for same in copies.values():
        for sample in same[1:]:
            part_of[first(sample.part)] = first(same[0].part)
    return {part: first(part) for part in part_of}
