"""History of a run: one row per epoch, kept in its checkpoint."""

from typing import Any

import numpy as np

from train.recipe import RunRecipe

SECOND = "union.average_precision"
"""Measure that decides between epochs of the same best measure."""

OF_CLASSES = ("recall", "precision", "average_precision", "iou_pooled")
"""Measures of each class that are kept for every epoch."""


class EpochHistory:
    """One row per epoch, of plain values.

    loss, images, seconds: of the training part; waited_s: time that steps waited for their batches; learning_rate: at
    the end of the epoch; val_losses: per class; measures: validation metrics by name; classes: `OF_CLASSES` per class,
    None where undefined; crop_probabilities: per class, of the guided crops in use, or None.
    """

    def __init__(self, recipe: RunRecipe):
        self.recipe = recipe
        self.rows: list[dict[str, Any]] = []

    @property
    def done(self) -> int:
        """Number of complete epochs."""
        return len(self.rows)

    def finished(self) -> bool:
        """Whether all epochs are complete, or early stopping applies."""
        patience = self.recipe.patience
        return self.done >= self.recipe.epochs or bool(patience and self.done - self._best_epoch() > patience)

    def is_better(self, value: float, second: float) -> bool:
        """Whether an epoch of these measures is better than all before; of equals, the one with the better second."""
        return (value, second) >= max(self._values(), default=(-np.inf, -np.inf))

    def _best_epoch(self) -> int:
        """The last of the epochs with the best values, counted from 1; 0 before the first."""
        values = self._values()
        best = max(values, default=None)
        return max((number for number, value in enumerate(values, start=1) if value == best), default=0)

    def _values(self) -> list[tuple[float, float]]:
        measures = (row["measures"] for row in self.rows)
        return [(row[self.recipe.best], row.get(SECOND, -np.inf)) for row in measures]
