"""Dry run: one batch through every stage, with memory and estimated time."""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from train.augment.guided_crops import Crops, check_sources, class_probabilities, index_defects
from train.augment.tile_draws import TileDrawer
from train.data.device_set import DeviceSet, evaluation_set
from train.data.image_set import ImageSet, load_images
from train.loop.run import Run
from train.models.network import weight_count
from train.recipe import Recipe

_VALIDATED = 16
"""Timed validation images."""
_CROPS = 8
"""Timed guided crops."""
_SOURCES = 8
"""Good images, and images with outlined defects, that they are made of."""


def dry_run(run: Run) -> list[str]:
    """Train two batches, validate some images, generate some crops; returns lines of text."""
    recipe, classes = run.recipe, len(run.dataset.classes)
    drawn = 1 if recipe.input.tiles is None else recipe.tile_draws.per_picture
    batch = -(-recipe.run.batch // drawn)
    train = _own(load_images(run.samples["train"][:batch], recipe.input, classes), recipe)
    val = load_images(run.samples["val"][:_VALIDATED], recipe.input, classes)
    on_device = DeviceSet(train, run.compute.device)
    run.trainer.train_epoch(on_device, 0, lambda images, loss: None)  # warm-up
    step_s = _timed(lambda: run.trainer.train_epoch(on_device, 0, lambda images, loss: None))
    val_set = evaluation_set(val, run.compute.device, recipe.tile_grid)
    validation_s = _timed(lambda: run.trainer.validate(val_set, 0)) / max(len(val), 1)
    images = len(run.samples["train"]) * drawn + recipe.crops.images
    crops_s = _crops_s(run) * recipe.crops.images / recipe.crops.every
    epoch_s = images / len(train) * step_s + len(run.samples["val"]) * validation_s + crops_s
    return [
        f"network {recipe.network.model}: {weight_count(run.trainer.network):,} weights, "
        f"checkpoint {_checkpoint_bytes(run) / 1e6:.1f} MB",
        f"one step of {len(train)} images: {step_s:.2f} s, {len(train) / step_s:.1f} images/s",
        f"guided crops: {crops_s:.2f} s an epoch" if recipe.crops.images else "guided crops: none",
        f"one epoch of {images} images with validation: {epoch_s:.0f} s; "
        f"{recipe.run.epochs} epochs: {recipe.run.epochs * epoch_s / 3600:.2f} h",
        f"memory: data {(images * _bytes(train) + len(run.samples['val']) * _bytes(val)) / 1e9:.2f} GB, {_peak(run)}",
    ]


def _own(images: ImageSet, recipe: Recipe) -> ImageSet:
    """The images, or tiles drawn from them."""
    tiles = recipe.input.tiles
    return images if tiles is None else TileDrawer(images, tiles, recipe.tile_draws).draw((recipe.seed,))


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _crops_s(run: Run) -> float:
    """Seconds per artificial image."""
    recipe = run.recipe.crops
    if not recipe.images:
        return 0.0
    classes = len(run.dataset.classes)
    outlined = [sample for sample in run.samples["train"] if sample.outlined]
    good = [sample for sample in run.samples["train"] if sample.good]
    check_sources(len(good), len(outlined))
    images = _own(load_images([*outlined[:_SOURCES], *good[:_SOURCES]], run.recipe.input, classes), run.recipe)
    stock = index_defects(images, run.dataset.classes)
    crops = Crops(stock, recipe, class_probabilities(np.ones(classes).tolist(), stock), seed=(0,))
    crops.make(range(_CROPS))  # fills the cache of blobs
    return _timed(lambda: crops.make(range(_CROPS))) / _CROPS


def _checkpoint_bytes(run: Run) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        torch.save(run.trainer.kept.state_dict(), path)
        return path.stat().st_size


def _bytes(images: ImageSet) -> float:
    return (images.images.nbytes + images.bits.nbytes) / max(len(images), 1)


def _peak(run: Run) -> str:
    if run.compute.device.type == "cuda":
        return f"peak on the GPU {torch.cuda.max_memory_allocated(run.compute.device) / 1e9:.2f} GB for one batch"
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"peak of this process {peak / 1e9:.2f} GB for one batch"
