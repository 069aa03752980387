"""Features of the training pictures in a file without a name, drawn so that each part comes as often as another."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.errors import DataError
from train.models.patch_features import PatchFeatures

Drawn = Literal["pictures", "good", "outlines"]
"""Pictures without crops, half of them good; good ones alone; for outlines, where a quarter is good and half of the
others are crops."""

_GOOD, _CROPS = 0.25, 0.5
"""Share of good maps for outlines, and of crops among the others."""
_MOST_SHARE = 255


@dataclass(frozen=True)
class FeatureMap:
    """Features of one picture, of its mirror image, or of a crop."""

    part: int
    """Number of the part it shows; of a crop any."""
    features: tuple[NDArray[np.float16], ...]
    """As `PatchFeatures`, [channels, h, w] each."""
    fractions: NDArray[np.float32]
    """[C, H / 4, W / 4], share of each class in the pixels of each cell."""
    group: int = 0
    """Of parts: those of one can be left out. A crop is made of parts of its group."""
    crop: bool = False


class FeatureMaps:
    """Maps of N pictures on disk, in `folder`; the file is gone with the process.

    Raises DataError where the disk does not hold them.
    """

    def __init__(self, maps: Iterable[FeatureMap], most: int, folder: Path):
        """most: number of maps at most, for which the file has room."""
        self._features: NDArray[np.float16] | None = None
        self._shapes: list[tuple[int, ...]] = []
        fractions, parts, groups, crops = [], [], [], []
        for number, one in enumerate(maps):
            if self._features is None:
                self._shapes = [scale.shape for scale in one.features]
                self._features = _room(most, sum(scale.size for scale in one.features), folder)
            self._features[number] = np.concatenate([scale.ravel() for scale in one.features])
            fractions.append(np.ceil(one.fractions * _MOST_SHARE).astype(np.uint8))  # some of a class is never none
            parts.append(one.part)
            groups.append(one.group)
            crops.append(one.crop)
        self._fractions = np.stack(fractions) if fractions else np.zeros((0, 0, 0, 0), np.uint8)
        self._parts, self._groups = np.array(parts), np.array(groups)
        self._crop = np.array(crops, dtype=bool)
        self._shows = np.array([bool(one.any()) for one in fractions])

    def __len__(self) -> int:
        return len(self._fractions)

    @property
    def pictures(self) -> int:
        """Number of maps that are not of crops."""
        return int((~self._crop).sum())

    def spares(self, group: int) -> bool:
        """Whether good and defective pictures are left without this group."""
        left = self._shows[~self._crop & (self._groups != group)]
        return bool(left.any()) and not left.all()

    def draw(
        self, count: int, generator: torch.Generator, drawn: Drawn, without: int | None = None
    ) -> tuple[PatchFeatures, Tensor]:
        """Features of `count` maps, and the shares of the classes, float [count, C, H / 4, W / 4]; with replacement.

        without: the group of which none is drawn.
        """
        chances = torch.from_numpy(self._chances(drawn, without))
        rows = torch.multinomial(chances, count, replacement=True, generator=generator).numpy()
        assert self._features is not None
        values = torch.from_numpy(self._features[rows]).float()
        scales = torch.split(values, [int(np.prod(shape)) for shape in self._shapes], dim=1)
        pairs = zip(scales, self._shapes, strict=True)
        features = PatchFeatures(*(scale.reshape(count, *shape) for scale, shape in pairs))
        return features, torch.from_numpy(self._fractions[rows]).float() / _MOST_SHARE

    def _chances(self, drawn: Drawn, without: int | None) -> NDArray[np.float64]:
        """How often each map is drawn, as weights."""
        among = np.ones_like(self._crop) if without is None else self._groups != without
        pictures = among & ~self._crop
        good, defective = (_alike_by_part(self._parts, pictures & kind) for kind in (~self._shows, self._shows))
        if drawn != "outlines":
            return good if drawn == "good" else good + defective
        made = among & self._crop & self._shows
        others = (1 - _CROPS) * defective + _CROPS * made / made.sum() if made.any() else defective
        return _GOOD * good + (1 - _GOOD) * others


def _room(most: int, size: int, folder: Path) -> NDArray[np.float16]:
    total = most * size * np.dtype(np.float16).itemsize
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, total)  # a full disk would otherwise end the process
            return np.memmap(file, np.float16, "r+", shape=(most, size))
    except OSError as error:
        raise DataError(
            f"{folder}: found no room for {total / 2**20:.0f} MiB ({error.strerror}), expected it to hold the features "
            f"of {most} pictures while the classifier is fitted: free some, or take a smaller input"
        ) from None


def _alike_by_part(parts: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Chance of each map, 0 where it is not chosen: a part at random, then one of its maps."""
    _, place, counts = np.unique(parts[chosen], return_inverse=True, return_counts=True)
    chances = np.zeros(len(parts))
    chances[chosen] = 1 / counts[place] / len(counts)
    return chances
