"""A stored checkpoint measured on labelled images, through torch."""

from typing import Literal

from train.data.dataset import Dataset
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet, load_images
from train.data.splits import Split, sides_of
from train.device import Compute
from train.errors import DataError
from train.evaluate.outputs import Outputs, predictions
from train.evaluate.prediction_files import Judged, judged
from train.loop.trainer import Trainer
from train.models.checkpoint import Checkpoint, build_network


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: Split | None,
    part: Literal["train", "val", "test", "all"],
    compute: Compute,
) -> tuple[Judged, str]:
    """What a checkpoint says of one side of a split, or of all images; returns a warning with it, or nothing.

    Raises DataError if the data set has other classes than the checkpoint.
    """
    meta = checkpoint.meta
    if dataset.classes != meta.classes:
        raise DataError(
            f"{dataset.name}: found the classes {', '.join(dataset.classes)}, expected those of the checkpoint, "
            f"{', '.join(meta.classes)}, in this order; use its data, or train with these"
        )
    samples = dataset.samples if split is None or part == "all" else sides_of(split, dataset)[part]
    seen = sum(meta.split.images.get(sample.sha256) in ("train", "val") for sample in samples)
    warning = f"warning: {seen} of {len(samples)} images trained it or chose its thresholds" if seen else ""
    images = load_images(samples, meta.input, len(meta.classes))
    rows = predictions(outputs_of(checkpoint, images, compute), images, meta.thresholds)
    return judged(meta.classes, samples, rows), warning


def outputs_of(checkpoint: Checkpoint, images: ImageSet, compute: Compute) -> Outputs:
    """What the network of a checkpoint says of some images."""
    meta = checkpoint.meta
    trainer = Trainer(build_network(checkpoint), meta.recipe, len(meta.classes), compute)
    return trainer.validate(DeviceSet(images, compute.device), meta.epoch - 1).outputs
