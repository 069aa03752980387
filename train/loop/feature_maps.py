"""Features of the training pictures in a file without a name, drawn so that each part comes as often as another."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.errors import DataError


@dataclass(frozen=True)
class FeatureMap:
    """Features of one picture, or of its mirror image."""

    part: int
    """Number of the part it shows."""
    features: NDArray[np.float16]
    """[F, h, w]"""
    fractions: NDArray[np.float32]
    """[C, h, w], share of each class in the pixels of each patch."""


class FeatureMaps:
    """Maps of N pictures on disk, in `folder`; the file is gone with the process.

    Raises DataError where the disk does not hold them.
    """

    def __init__(self, maps: Iterable[FeatureMap], most: int, folder: Path):
        """most: number of maps at most, for which the file has room."""
        self._features: NDArray[np.float16] | None = None
        fractions, parts = [], []
        for number, one in enumerate(maps):
            if self._features is None:
                self._features = _room(most, one.features.shape, folder)
            self._features[number] = one.features
            fractions.append(one.fractions.astype(np.float16))
            parts.append(one.part)
        self._fractions = np.stack(fractions) if fractions else np.zeros((0, 0, 0, 0), np.float16)
        defective = np.array([bool(fraction.any()) for fraction in fractions])
        self._good, self._defective = (_alike_by_part(np.array(parts), kind) for kind in (~defective, defective))

    def __len__(self) -> int:
        return len(self._fractions)

    @property
    def outlined(self) -> bool:
        """Whether a map shows an outlined defect."""
        return bool(self._defective.any())

    def draw(self, count: int, generator: torch.Generator, good: bool = False) -> tuple[Tensor, Tensor]:
        """Features float [count, F, h, w] and shares of the classes float [count, C, h, w], drawn with replacement.

        About half of them are good, or with `good` all.
        """
        chances = torch.from_numpy(self._good if good else self._good + self._defective)
        rows = torch.multinomial(chances, count, replacement=True, generator=generator).numpy()
        assert self._features is not None
        return torch.from_numpy(self._features[rows]).float(), torch.from_numpy(self._fractions[rows]).float()


def _room(most: int, shape: tuple[int, ...], folder: Path) -> NDArray[np.float16]:
    size = most * int(np.prod(shape)) * np.dtype(np.float16).itemsize
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk would otherwise end the process
            return np.memmap(file, np.float16, "r+", shape=(most, *shape))
    except OSError as error:
        raise DataError(
            f"{folder}: found no room for {size / 2**20:.0f} MiB ({error.strerror}), expected it to hold the features "
            f"of {most} pictures while the classifier is fitted: free some, or take a smaller input"
        ) from None


def _alike_by_part(parts: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Chance of each map, 0 where it is not chosen: a part at random, then one of its maps."""
    _, place, counts = np.unique(parts[chosen], return_inverse=True, return_counts=True)
    chances = np.zeros(len(parts))
    chances[chosen] = 1 / counts[place] / len(counts)
    return chances
