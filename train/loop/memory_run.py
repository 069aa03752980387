"""Run that learns good parts alone: fills the memory of a network, calibrates its score, chooses the threshold."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from bundle import encode_png
from train.data.dataset import Dataset
from train.data.device_set import DeviceSet, evaluation_set
from train.data.image_set import ImageSet
from train.data.splits import Split, save_split
from train.device import Compute
from train.errors import SplitError
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import evaluate
from train.evaluate.part_metrics import group, worst
from train.evaluate.predict import predict
from train.evaluate.rates import Rate
from train.evaluate.tables import rate_text
from train.evaluate.thresholds import choose_thresholds
from train.loop.lr_schedule import epoch_generator
from train.loop.run_folder import RunFolder, brightness_range
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from train.models.network import NormalisedNetwork
from train.models.patch_memory import PatchMemory
from train.recipe import Recipe

MOST_PATCHES = 40_000
"""Patches of the good pictures that the memory is chosen from, a random share of them where there are more."""


class MemoryRun(RunFolder):
    """One run in one folder: `best.pt`, `metrics.json` and the report.

    Pictures with defects do not train; those of the validation and test part are measured. Raises SplitError if the
    training or the validation part has no good image.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, split: Split, out: Path, compute: Compute, console: Console):
        super().__init__(recipe, dataset, split, out, compute, console)
        for side in ("train", "val"):
            if not any(sample.good for sample in self.samples[side]):
                raise SplitError(
                    f"split: found no good image of {dataset.name} in the {side} part, expected some: a memory of good "
                    "parts is filled with those of the training part and calibrated on those of the validation part"
                )
        self.samples["train"] = tuple(sample for sample in self.samples["train"] if sample.good)
        self.generator = epoch_generator(recipe.seed, 0)
        self.network = compute.place(make_network(recipe.network, recipe.input.channels, len(dataset.classes))).eval()

    @property
    def memory(self) -> PatchMemory:
        """The network behind its normalisation."""
        return cast(PatchMemory, self.network.body)

    def train(self) -> None:
        """Fill the memory, calibrate it on the good validation parts, write `best.pt`; prints what was chosen.

        Raises CheckpointError if the folder holds another run.
        """
        if self.best.exists():
            stored = load_checkpoint(self.best).meta
            self._check_same(stored, stored.recipe)
        save_split(self.split, self.out / "split.json")
        train, val = self.load("train"), self.load("val")
        self.brightness = brightness_range(train)
        patches = self._patches(train)
        self.memory.remember(patches, self.generator)
        self.memory.calibrate(self._good_distances(val), self.recipe.thresholds.limit)
        outputs = predict(self.network, val, self.compute, self.recipe.run.batch, grid=self.recipe.tile_grid)
        thresholds = choose_thresholds(outputs, val, self.dataset.classes, self.recipe.thresholds)
        metrics = evaluate(outputs, val, thresholds, self.dataset.classes)
        meta = self._meta(thresholds, metrics, epoch=1, example=b64encode(encode_png(self._example(train))).decode())
        save_checkpoint(Checkpoint(meta, self.network.state_dict()), self.best)
        self.console.print(
            f"memory: {len(self.memory.memory)} of {len(patches)} patches of {len(train)} good images; "
            f"threshold {next(iter(thresholds.values())).score:.3f}",
            f"false rejects of held-out good parts: {rate_text(_false_rejects(metrics))}; more good parts in the "
            "validation part narrow the interval",
            sep="\n",
            highlight=False,
        )

    def _patches(self, images: ImageSet) -> Tensor:
        """Features of good patches, float32 [N, features] on the host; at most `MOST_PATCHES`."""
        data = evaluation_set(images, self.compute.device, self.recipe.tile_grid)
        kept: list[Tensor] = []
        share = 1.0
        for features in _features(self.network, data, self.compute, self.recipe.run.batch):
            if not kept:
                share = min(1.0, MOST_PATCHES / (len(data) * features.shape[2] * features.shape[3]))
            rows = features.float().permute(0, 2, 3, 1).flatten(0, 2).cpu()
            kept.append(rows[torch.rand(len(rows), generator=self.generator) < share])
        return torch.cat(kept)

    def _good_distances(self, images: ImageSet) -> Tensor:
        """Largest distance in any picture of each good part, float32 [N]."""
        scores = predict(self.network, images, self.compute, self.recipe.run.batch, grid=self.recipe.tile_grid).scores
        p = scores[:, 0].astype(np.float64)  # of an untouched logistic: the distance less 1 in log-odds
        distances = (np.log(p / (1 - p)) + 1).astype(np.float32)
        good = ~np.asarray(images.labels.any(axis=1))
        names = [part for part, is_good in zip(images.parts, good, strict=True) if is_good]
        return torch.from_numpy(worst(distances[good], group(names, images.labels[good])))

    def _example(self, images: ImageSet) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """A good picture, or with tiles its first tile, uint8 [H, W] or [H, W, 3]: the one of median brightness."""
        means = images.images.mean(axis=(1, 2, 3))
        picture = images.images[int(np.argsort(means)[len(means) // 2])]
        grid = self.recipe.tile_grid
        seen = picture if grid is None else grid.tile(picture, *grid.places[0])
        return np.ascontiguousarray(seen[0] if len(seen) == 1 else seen.transpose(1, 2, 0))


@torch.inference_mode()
def _features(network: NormalisedNetwork, data: DeviceSet, compute: Compute, batch: int) -> Iterator[Tensor]:
    memory = cast(PatchMemory, network.body)
    for one in data.in_order(batch):
        with compute.autocast():
            yield memory.features(network.prepared(one.frames))


def _false_rejects(metrics: Metrics) -> Rate:
    return metrics.parts.false_rejects if metrics.parts is not None else metrics.false_rejects
