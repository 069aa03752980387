"""Inference with a trained network through torch: outputs of an image set, evaluation of a checkpoint."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bundle import TileGrid
from bundle.tiling import Outputs as NetworkOutputs
from train.data.dataset import Dataset
from train.data.device_set import Batch, DeviceSet, TiledSet, evaluation_set
from train.data.image_set import ImageSet, load_images
from train.data.splits import Split, sides_of
from train.device import Compute
from train.errors import DataError
from train.evaluate.outputs import Outputs, judged_together, predictions
from train.evaluate.prediction_files import Predictions, named_predictions
from train.models.checkpoint import Checkpoint, build_network
from train.models.network import NormalisedNetwork, scores_and_masks


@torch.inference_mode()
def predict(
    network: NormalisedNetwork,
    images: ImageSet | DeviceSet,
    compute: Compute,
    batch: int | None = None,
    on_batch: Callable[[Batch, Tensor], None] | None = None,
    grid: TileGrid | None = None,
) -> Outputs:
    """Scores and masks of all images, in their order; puts the network in evaluation mode.

    network: on the device of `compute`, see `Compute.place`.
    batch: images of a forward pass; without one, as many as suit the device.
    on_batch: called with each batch and its float32 logits [B, C, h, w]; batches are of tiles where there are any.
    grid: tiles in which `images` are predicted; a TiledSet has its own.
    Raises DataError without an image.
    """
    network.eval()
    data = images if isinstance(images, DeviceSet) else evaluation_set(images, compute.device, grid)
    if not len(data):
        raise DataError(
            "evaluation: found no image, expected at least one; check the split and its part (a run with "
            "thresholds.folds learnt the validation part)"
        )
    found = _of_batches(network, data, compute, batch or compute.batch, on_batch)
    if isinstance(data, TiledSet):
        return Outputs(*data.grid.stitch(len(data.pictures), found))
    scores, masks = zip(*found, strict=True)
    return Outputs(np.concatenate(scores), np.concatenate(masks))


def _of_batches(
    network: NormalisedNetwork,
    data: DeviceSet,
    compute: Compute,
    batch: int,
    on_batch: Callable[[Batch, Tensor], None] | None,
) -> Iterator[NetworkOutputs]:
    for one in data.in_order(batch):
        with compute.autocast():
            logits = network(one.frames)
        logits = logits.float()
        if on_batch is not None:
            on_batch(one, logits)
        of_images, of_cells = scores_and_masks(logits)
        yield of_images.cpu().numpy(), of_cells.cpu().numpy()


def predict_with(checkpoint: Checkpoint, images: ImageSet, compute: Compute) -> Outputs:
    """Scores and masks of all images from the network of a checkpoint, judged as its thresholds need."""
    outputs = predict_apart(checkpoint, images, compute)
    return judged_together(outputs, images, checkpoint.meta.recipe.thresholds.exposures)


def predict_apart(checkpoint: Checkpoint, images: ImageSet, compute: Compute) -> Outputs:
    """Scores and masks of each image by itself, whatever the rule for exposures."""
    network = compute.place(build_network(checkpoint))
    return predict(network, images, compute, grid=checkpoint.meta.recipe.tile_grid)


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: Split | None,
    part: Literal["train", "val", "test", "all"],
    compute: Compute,
) -> tuple[Predictions, str]:
    """Predictions of a checkpoint on one part of a split, or on all images, with a warning or an empty string.

    The warning counts the images that the checkpoint was trained on or that its thresholds were chosen on. Raises
    DataError if the data set has other classes than the checkpoint.
    """
    meta = checkpoint.meta
    if dataset.classes != meta.classes:
        raise DataError(
            f"{dataset.name}: found the classes {', '.join(dataset.classes)}, expected those of the checkpoint, "
            f"{', '.join(meta.classes)}, in this order; use its data, or train with these"
        )
    rule = meta.recipe.thresholds.exposures
    samples = dataset.samples if split is None or part == "all" else sides_of(split, dataset, rule)[part]
    trained_on = meta.trained_on
    seen = sum(sample.sha256 in trained_on for sample in samples)
    warning = f"warning: {seen} of {len(samples)} images trained it or chose its thresholds" if seen else ""
    images = load_images(samples, meta.input, len(meta.classes))
    rows = predictions(predict_with(checkpoint, images, compute), images, meta.thresholds)
    return named_predictions(meta.classes, samples, rows), warning
