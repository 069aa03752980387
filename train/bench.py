"""How fast training is on this machine: one step, one set of guided crops, the share of a run that is spent waiting."""

import os
import time
from collections.abc import Callable

import numpy as np
import torch

from train.crops import class_probabilities, make_crops, take_stock
from train.data import DeviceSet, augment, draw, targets
from train.device import Compute
from train.images import ImageSet, outlined, pack
from train.models import make_network
from train.recipe import Recipe
from train.trainer import Trainer

CLASSES = 5
STEPS = 4
"""Steps that are timed, after one that sets up memory and kernels."""
CROPS = 48
"""Artificial images that are timed."""
DOCUMENT_IMAGES = 1008
"""Training images of the full Magnetic Tile set, 75 % of 1,344."""


def drawn_images(recipe: Recipe, count: int, seed: int = 0) -> ImageSet:
    """Noise with a bright block in two of three images; only size and number matter for the time."""
    generator = np.random.default_rng(seed)
    spec = recipe.input
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
    on_device = DeviceSet(images, compute.device)
    trainer.train_epoch(DeviceSet(drawn_images(recipe, batch), compute.device), 0, _unheard)
    step_s = _timed(lambda: trainer.train_epoch(on_device, 0, _unheard), compute) / STEPS
    found = {
        "step_ms": 1e3 * step_s,
        "images_per_s": batch / step_s,
        "data_ms": 1e3 * _timed(lambda: _touch_batches(trainer, on_device), compute) / STEPS,
    }
    found["data_share_of_step_percent"] = 100 * found["data_ms"] / found["step_ms"]
    crops = recipe.crops
    if crops.images:
        stock = take_stock(images)
        few = crops.model_copy(update={"images": CROPS})
        chances = class_probabilities([1.0] * CLASSES, stock)
        crop_s = _timed(lambda: make_crops(stock, few, chances, (0,), os.cpu_count() or 1), compute) / CROPS
        epochs_s = crops.every * (DOCUMENT_IMAGES + crops.images) / found["images_per_s"]
        found |= {
            "crops_per_s": 1 / crop_s,
            "crops_share_of_their_epochs_percent": 100 * crop_s * crops.images / epochs_s,
        }
    epochs = recipe.run.epochs * (DOCUMENT_IMAGES + crops.images) / found["images_per_s"]
    return found | {"whole_recipe_min": epochs / 60}


def _touch_batches(trainer: Trainer, data: DeviceSet) -> None:
    """All that a step does before the network: pick, augment, bring the truth to the pooled size."""
    generator = torch.Generator().manual_seed(0)
    recipe = trainer.recipe
    size = recipe.input.height // recipe.network.pooling, recipe.input.width // recipe.network.pooling
    for index in data.shuffled(recipe.run.batch, generator):
        targets(augment(data.batch(index), recipe.augment, draw(len(index), generator)), size)


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
    """Progress that nobody looks at."""
