"""Benchmark of training on this machine: step, guided crops, waiting for batches."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from train.augment.batch import augment, draw
from train.augment.guided_crops import Crops, class_probabilities, index_defects
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet, outlined, pack
from train.device import Compute
from train.loop.trainer import Trainer
from train.loop.training_data import WithCrops
from train.losses import targets
from train.models.build import make_network
from train.recipe import Recipe

CLASSES = 5
STEPS = 4
"""Timed steps, after one warm-up step."""
PAPER_IMAGES = 1008
"""Training images of the full Magnetic Tile data set, 75 % of 1,344."""


def drawn_images(recipe: Recipe, count: int, seed: int = 0) -> ImageSet:
    """Noise images, two of three with a bright block as defect."""
    generator = np.random.default_rng(seed)
    spec = recipe.input.network
    images = generator.integers(90, 160, (count, spec.channels, spec.height, spec.width), dtype=np.uint8)
    masks = np.zeros((count, CLASSES, spec.height, spec.width), dtype=np.bool_)
    for index in range(count):
        if index % 3:
            top, left = int(generator.integers(spec.height // 2)), int(generator.integers(spec.width // 2))
            masks[index, index % CLASSES, top : top + spec.height // 5, left : left + spec.width // 8] = True
    np.putmask(images, np.broadcast_to(masks.any(axis=1, keepdims=True), images.shape), 220)
    bits, labels = np.stack([pack(one) for one in masks]), np.asarray(masks.any(axis=(2, 3)))
    return ImageSet(images, bits, labels, outlined(bits, labels))


def bench(recipe: Recipe, compute: Compute) -> dict[str, float]:
    """Time a recipe on drawn images; returns figures by name, the unit in the name."""
    batch = recipe.run.batch
    images = drawn_images(recipe, batch * STEPS)
    trainer = Trainer(make_network(recipe.network, recipe.input.channels, CLASSES), recipe, CLASSES, compute)
    on_device, one_batch = DeviceSet(images, compute.device), DeviceSet(drawn_images(recipe, batch), compute.device)
    trainer.train_epoch(one_batch, 0, _unheard)
    step_s = _timed(lambda: trainer.train_epoch(on_device, 0, _unheard), compute) / STEPS
    found = {
        "step_ms": 1e3 * step_s,
        "images_per_s": batch / step_s,
        "batch_made_in_ms": 1e3 * _timed(lambda: _touch_batches(trainer, on_device), compute) / STEPS,
        "step_waits_percent": 100 * _waits_s(trainer, one_batch, on_device) / step_s,
    }
    epochs_s = (PAPER_IMAGES + recipe.crops.images) / found["images_per_s"]
    if recipe.crops.images:
        found |= _bench_crops(trainer, images, one_batch, step_s, recipe.crops.every * epochs_s)
    return found | {"whole_recipe_min": recipe.run.epochs * epochs_s / 60}


def _bench_crops(
    trainer: Trainer, images: ImageSet, one_batch: DeviceSet, step_s: float, epochs_s: float
) -> dict[str, float]:
    """Time a new set of crops: alone in one thread, and overlapped with training."""
    stock = index_defects(images)
    crops = Crops(stock, trainer.recipe.crops, class_probabilities([1.0] * CLASSES, stock), seed=(0,))
    alone_s = _timed(lambda: crops.make(range(len(crops))), trainer.compute)
    few = replace(crops, recipe=crops.recipe.model_copy(update={"images": len(images) // 2}))
    data = WithCrops(DeviceSet(images, trainer.compute.device), few)
    return {
        "crops_per_s": len(crops) / alone_s,
        "crops_share_of_their_epochs_percent": 100 * alone_s / epochs_s,
        "step_with_new_crops_waits_percent": 100 * _waits_s(trainer, one_batch, data) / step_s,
    }


def _waits_s(trainer: Trainer, one_batch: DeviceSet, data: DeviceSet) -> float:
    """Waiting time per step, without the first step of the epoch."""
    trainer.train_epoch(one_batch, 0, _unheard)
    first = trainer.waited_s
    trainer.train_epoch(data, 0, _unheard)
    return max(0.0, trainer.waited_s - first) / (len(data) // trainer.recipe.run.batch - 1)


def _touch_batches(trainer: Trainer, data: DeviceSet) -> None:
    """Data preparation of a step: selection, augmentation, targets."""
    generator = torch.Generator().manual_seed(0)
    recipe = trainer.recipe
    spec = recipe.input.network
    size = spec.height // recipe.network.mask_px, spec.width // recipe.network.mask_px
    for index in data.shuffled(recipe.run.batch, generator):
        targets(augment(data.batch(index), recipe.augment, draw(len(index), recipe.augment, generator)), size)


def _timed(work: Callable[[], object], compute: Compute) -> float:
    _wait(compute)
    began = time.perf_counter()
    work()
    _wait(compute)
    return time.perf_counter() - began


def _wait(compute: Compute) -> None:
    if compute.device.type == "cuda":
        torch.cuda.synchronize(compute.device)


def _unheard(images: int, loss: float) -> None:
    """Progress callback that does nothing."""
