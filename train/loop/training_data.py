"""The training data of each epoch: the training part, and behind it the guided crops of the moment."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from train.augment.guided_crops import Crops, class_probabilities, index_defects
from train.data.device_set import Batch, DeviceSet
from train.data.image_set import ImageSet
from train.recipe import Recipe

_STREAM = 1
"""Tells the random streams of the crops from other uses of the seed."""


class WithCrops(DeviceSet):
    """A set with crops behind its own images, each made when a batch first holds it.

    So a new set costs no time of its own: its crops are made while the network computes on the batches before theirs.
    """

    def __init__(self, own: DeviceSet, crops: Crops):
        self.device, self.home = own.device, own.home
        self._own, self._crops = len(own), crops
        self._missing = set(range(len(own), len(own) + len(crops)))
        self.images, self.bits, self.labels, self.outlined = (
            torch.cat((values, values.new_zeros((len(crops), *values.shape[1:]))))
            for values in (own.images, own.bits, own.labels, own.outlined)
        )

    @property
    def busy(self) -> bool:
        """See DeviceSet."""
        return super().busy or bool(self._missing)

    def batch(self, index: Tensor) -> Batch:
        """The images of these indices, on the device."""
        self._make(self._missing.intersection(index.tolist()))
        return super().batch(index)

    def shuffled(
        self, size: int, generator: torch.Generator, balanced: bool = False, most: int | None = None
    ) -> list[Tensor]:
        """See DeviceSet. Balanced, all crops are made at once, for their classes decide."""
        if balanced:
            self._make(self._missing)
        return super().shuffled(size, generator, balanced, most)

    def _make(self, wanted: set[int]) -> None:
        rows = sorted(wanted)
        if rows:
            self._take(self._crops.make(row - self._own for row in rows), torch.tensor(rows).to(self.home))
            self._missing.difference_update(rows)

    def _take(self, made: ImageSet, rows: Tensor) -> None:
        for values, stored in (
            (made.images, self.images),
            (made.bits, self.bits),
            (made.labels, self.labels),
            (made.outlined, self.outlined),
        ):
            stored[rows] = torch.from_numpy(values).to(self.home, stored.dtype, non_blocking=True)


class TrainingData:
    """Has a new set of crops every few epochs, made from what the run has logged: a resumed run has the same."""

    def __init__(self, training: ImageSet, recipe: Recipe, device: torch.device, classes: Sequence[str] = ()):
        """classes: see `index_defects`."""
        self.recipe = recipe
        self.probabilities: list[float] | None = None
        """Of the classes in the crops in use; None while there are none."""
        self._own = self._current = DeviceSet(training, device)
        self._made: int | None = None  # after how many epochs the set in use was made
        self._stock = index_defects(training, classes) if recipe.crops.images else None

    def of(self, epoch: int, history: Sequence[Mapping[str, Any]]) -> DeviceSet:
        """The data of epoch `epoch`, counted from 0; `history` has a row with `val_losses` per epoch before it."""
        crops = self.recipe.crops
        made = epoch // crops.every * crops.every
        if made != self._made and (made or crops.at_once):
            self._renew(made, history[made - 1]["val_losses"] if made else None)
        return self._current

    def _renew(self, made: int, losses: Sequence[float] | None) -> None:
        if self._stock is None:
            return
        if losses is None or self.recipe.crops.guide == "uniform":
            losses = [1.0] * len(self._stock.sources)
        probabilities = class_probabilities(losses, self._stock)
        crops = Crops(self._stock, self.recipe.crops, probabilities, seed=(self.recipe.seed, _STREAM, made))
        self._current = WithCrops(self._own, crops)
        self._made, self.probabilities = made, probabilities.tolist()
