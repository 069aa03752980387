"""The history of a run as curves for TensorBoard."""

from pathlib import Path
from typing import Any

from train.errors import TrainError


class Scalars:
    """Writes one point per epoch under OUT/tensorboard. Raises TrainError if tensorboard is not installed."""

    def __init__(self, out: Path, done: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainError("--tensorboard: tensorboard is not installed; pip install tensorboard") from None
        self._writer: Any = SummaryWriter(str(out / "tensorboard"), purge_step=done)

    def write(self, epoch: int, row: dict[str, Any], classes: tuple[str, ...]) -> None:
        """One row of the history, of epoch `epoch` counted from 0."""
        self._writer.add_scalar("loss/train", row["loss"], epoch)
        self._writer.add_scalar("images_per_second", row["images"] / row["seconds"], epoch)
        for name, value in row["measures"].items():
            self._writer.add_scalar(f"val/{name}", value, epoch)
        for name, loss in zip(classes, row["val_losses"], strict=True):
            self._writer.add_scalar(f"val_loss/{name}", loss, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
