"""What each epoch of a run gave, kept in its checkpoint."""

from typing import Any

import numpy as np

from train.recipe import RunRecipe


class History:
    """One row per epoch, of plain values.

    loss, images, seconds: of the training; waited_s: how long its steps waited for their batches; val_losses: per
    class; measures: of the validation part, by name; crop_probabilities: per class, of the guided crops in use, or
    None.
    """

    def __init__(self, recipe: RunRecipe):
        self.recipe = recipe
        self.rows: list[dict[str, Any]] = []

    @property
    def done(self) -> int:
        """Epochs trained."""
        return len(self.rows)

    def finished(self) -> bool:
        """Whether all epochs are done, or none was better for as many as the recipe has patience."""
        patience = self.recipe.patience
        return self.done >= self.recipe.epochs or bool(patience and self.done - self._best_epoch() > patience)

    def best(self) -> float:
        """The best value so far of the measure that chooses."""
        return max(self._values(), default=-np.inf)

    def _best_epoch(self) -> int:
        """The last of the epochs with the best value, counted from 1; 0 before the first."""
        values = self._values()
        return max((number for number, value in enumerate(values, start=1) if value == self.best()), default=0)

    def _values(self) -> list[float]:
        return [row["measures"][self.recipe.best] for row in self.rows]
