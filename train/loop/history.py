"""History of a run: one row per epoch, kept in its checkpoint and written as TensorBoard events."""

from pathlib import Path
from typing import Any

import numpy as np

from train.errors import TrainError
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


class TensorboardLog:
    """Writes the rows of a history as scalars under OUT/tensorboard.

    done: complete epochs of a resumed run; events after them are purged. Raises TrainError if tensorboard is not
    installed.
    """

    def __init__(self, out: Path, done: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainError("--tensorboard: tensorboard is not installed; pip install tensorboard") from None
        self._writer: Any = SummaryWriter(str(out / "tensorboard"), purge_step=done)

    def write(self, epoch: int, row: dict[str, Any], classes: tuple[str, ...]) -> None:
        """Write one row; `epoch` counts from 0."""
        self._writer.add_scalar("loss/train", row["loss"], epoch)
        self._writer.add_scalar("learning_rate", row["learning_rate"], epoch)
        self._writer.add_scalar("images_per_second", row["images"] / row["seconds"], epoch)
        for name, value in row["measures"].items():
            self._writer.add_scalar(f"val/{name}", value, epoch)
        for name, loss in zip(classes, row["val_losses"], strict=True):
            self._writer.add_scalar(f"val_loss/{name}", loss, epoch)
        for name, measures in zip(classes, row["classes"], strict=True):
            for measure, value in measures.items():
                if value is not None:
                    self._writer.add_scalar(f"val_{measure}/{name}", value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
