"""The training data of each epoch: the training part, and behind it the guided crops of the moment."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from train.crops import class_probabilities, make_crops, take_stock
from train.data import DeviceSet
from train.images import ImageSet
from train.recipe import Recipe

_STREAM = 1
"""Tells the random streams of the crops from other uses of the seed."""


class TrainingData:
    """Makes a new set of crops every few epochs from what the run has logged, so a resumed run makes the same."""

    def __init__(self, training: ImageSet, recipe: Recipe, device: torch.device, workers: int):
        self.recipe, self.workers = recipe, workers
        self.probabilities: list[float] | None = None
        """Of the classes in the crops in use; None while there are none."""
        self._own = self._current = DeviceSet(training, device)
        self._made = 0
        self._stock = take_stock(training) if recipe.crops.images else None

    def of(self, epoch: int, history: Sequence[Mapping[str, Any]]) -> DeviceSet:
        """The data of epoch `epoch`, counted from 0; `history` has a row with `val_losses` per epoch before it."""
        made = epoch // self.recipe.crops.every * self.recipe.crops.every
        if made and made != self._made:
            self._renew(made, history[made - 1]["val_losses"])
        return self._current

    def _renew(self, made: int, losses: Sequence[float]) -> None:
        if self._stock is None:
            return
        guide = losses if self.recipe.crops.guide == "loss" else [1.0] * len(losses)
        probabilities = class_probabilities(guide, self._stock)
        seed = (self.recipe.seed, _STREAM, made)
        self._current = self._own.plus(make_crops(self._stock, self.recipe.crops, probabilities, seed, self.workers))
        self._made, self.probabilities = made, probabilities.tolist()
