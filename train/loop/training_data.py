"""Training data of each epoch: the training part, or tiles drawn from it, followed by the current guided crops."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from train.augment.guided_crops import Crops, class_probabilities, index_defects
from train.augment.tile_draws import TileDrawer
from train.data.device_set import Batch, DeviceSet
from train.data.image_set import Draw, ImageSet
from train.recipe import Recipe

_STREAM, _TILE_STREAM = 1, 2
"""Distinguish the random streams of the crops and of the tiles from other uses of the seed."""


class WithCrops(DeviceSet):
    """A set followed by guided crops, each generated when a batch first needs it.

    Generation overlaps with the network's computation on the preceding batches.
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
    def own(self) -> int:
        """See DeviceSet."""
        return self._own

    @property
    def busy(self) -> bool:
        """See DeviceSet."""
        return super().busy or bool(self._missing)

    def batch(self, index: Tensor) -> Batch:
        """The images of these indices, on the device."""
        self._make(self._missing.intersection(index.tolist()))
        return super().batch(index)

    def shuffled(
        self, size: int, generator: torch.Generator, draw: Draw = "each", most: int | None = None
    ) -> list[Tensor]:
        """See DeviceSet. A draw by classes needs those of all crops, so it generates all of them."""
        if draw != "each":
            self._make(self._missing)
        return super().shuffled(size, generator, draw, most)

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
    """Renews tiles and crops every few epochs, from the seed and the history, so that a resumed run has the same."""

    def __init__(self, training: ImageSet, recipe: Recipe, device: torch.device, classes: Sequence[str] = ()):
        """classes: see `index_defects`."""
        self.recipe = recipe
        self.probabilities: list[float] | None = None
        """Class probabilities of the current crops; None without crops."""
        self._device, self._classes = device, classes
        self._made: int | None  # epochs before the current crops
        self._drawn: int | None = None  # epochs before the current tiles
        tiles = recipe.input.tiles
        self._drawer = TileDrawer(training, tiles, recipe.tile_draws) if tiles is not None else None
        self._take(training if self._drawer is None else self._draw(0))

    def of(self, epoch: int, history: Sequence[Mapping[str, Any]]) -> DeviceSet:
        """Data of epoch `epoch`, counted from 0; `history` has one row with `val_losses` per earlier epoch."""
        crops = self.recipe.crops
        made = epoch // crops.every * crops.every
        if self._drawer is not None and made != self._drawn:
            self._take(self._draw(made))
        if made != self._made and (made or crops.at_once):
            self._renew(made, history[made - 1]["val_losses"] if made else None)
        return self._current

    def _take(self, own: ImageSet) -> None:
        self._own = self._current = DeviceSet(own, self._device)
        self._made = None
        self._stock = index_defects(own, self._classes) if self.recipe.crops.images else None

    def _draw(self, made: int) -> ImageSet:
        assert self._drawer is not None
        self._drawn = made
        return self._drawer.draw((self.recipe.seed, _TILE_STREAM, made))

    def _renew(self, made: int, losses: Sequence[float] | None) -> None:
        if self._stock is None:
            return
        if losses is None or self.recipe.crops.guide == "uniform":
            losses = [1.0] * len(self._stock.sources)
        probabilities = class_probabilities(losses, self._stock)
        crops = Crops(self._stock, self.recipe.crops, probabilities, seed=(self.recipe.seed, _STREAM, made))
        self._current = WithCrops(self._own, crops)
        self._made, self.probabilities = made, probabilities.tolist()
