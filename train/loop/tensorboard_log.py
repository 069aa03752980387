"""TensorBoard events of a run: curves, and validation pictures with outlines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import Threshold
from train.data.image_set import ImageSet
from train.errors import TrainError
from train.evaluate.metrics import GOOD
from train.evaluate.outputs import Outputs
from train.report.figures import outlined_picture

PICTURES_OF_EACH = 2
"""Validation pictures of each class, and of good parts, that every epoch shows."""


class TensorboardLog:
    """Writes scalars of each epoch and the same validation pictures with outlines under OUT/tensorboard.

    done: complete epochs of a resumed run; events after them are purged. Raises TrainError if tensorboard is not
    installed.
    """

    def __init__(self, out: Path, done: int, classes: tuple[str, ...], images: ImageSet):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainError(
                "--tensorboard: tensorboard is not installed; pip install 'edge-inspect[tensorboard]'"
            ) from None
        self._writer: Any = SummaryWriter(str(out / "tensorboard"), purge_step=done)
        self._classes, self._images = classes, images
        self._shown = shown_pictures(images.labels)

    def write(self, epoch: int, row: Mapping[str, Any], outputs: Outputs, thresholds: Mapping[str, Threshold]) -> None:
        """Write one row and the pictures; `epoch` counts from 0, `outputs` are of the validation part."""
        self._write_scalars(epoch, row)
        self._write_pictures(epoch, outputs, [thresholds[name] for name in self._classes])
        self._writer.flush()

    def _write_scalars(self, epoch: int, row: Mapping[str, Any]) -> None:
        self._writer.add_scalar("loss/train", row["loss"], epoch)
        self._writer.add_scalar("learning_rate", row["learning_rate"], epoch)
        self._writer.add_scalar("images_per_second", row["images"] / row["seconds"], epoch)
        for name, value in row["measures"].items():
            self._writer.add_scalar(f"val/{name}", value, epoch)
        for name, loss in zip(self._classes, row["val_losses"], strict=True):
            self._writer.add_scalar(f"val_loss/{name}", loss, epoch)
        for name, measures in zip(self._classes, row["classes"], strict=True):
            for measure, value in measures.items():
                if value is not None:
                    self._writer.add_scalar(f"val_{measure}/{name}", value, epoch)

    def _write_pictures(self, epoch: int, outputs: Outputs, thresholds: Sequence[Threshold]) -> None:
        scores = np.array([threshold.score for threshold in thresholds])
        for index in self._shown:
            image, truth = self._images.images[index], self._images.masks(index)
            found = outputs.scores[index] >= scores
            picture = outlined_picture(image, truth, outputs.masks[index], found, thresholds)
            names = [name for name, has in zip(self._classes, self._images.labels[index], strict=True) if has]
            tag = f"val_picture/{' '.join(names) or GOOD} {index}"
            self._writer.add_image(tag, picture, epoch, dataformats="HWC")

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def shown_pictures(labels: NDArray[np.bool_]) -> list[int]:
    """Indices of the pictures to show, labels [N, C]: the first of each class and of the good ones."""
    groups = np.column_stack([labels, ~labels.any(axis=1)]).T
    return sorted({int(index) for group in groups for index in np.flatnonzero(group)[:PICTURES_OF_EACH]})
