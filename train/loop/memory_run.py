"""Run that learns good parts alone: fills the memory of a network, calibrates its score, chooses the threshold."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from train.data.dataset import Dataset
from train.data.device_set import DeviceSet, evaluation_set
from train.data.image_set import ImageSet
from train.data.splits import Split
from train.device import Compute
from train.errors import SplitError
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import judged_together
from train.evaluate.part_metrics import group, worst
from train.evaluate.rates import Rate
from train.evaluate.tables import rate_text
from train.loop.one_pass_run import Judged, OnePassRun
from train.models.checkpoint import load_checkpoint
from train.models.network import NormalisedNetwork
from train.models.patch_memory import PatchMemory
from train.recipe import Recipe

MOST_PATCHES = 40_000
"""Patches of the good pictures that the memory is chosen from, a random share of them where there are more."""


class MemoryRun(OnePassRun):
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
        self._filled = ""

    @property
    def memory(self) -> PatchMemory:
        """The network behind its normalisation."""
        return cast(PatchMemory, self.network.body)

    def fit(self, train: ImageSet, val: ImageSet) -> Sequence[Judged]:
        """Fill the memory from the training part, calibrate it on the good parts of the validation part."""
        patches = self._patches(train)
        self.memory.remember(patches, self.generator)
        self.memory.calibrate(self._good_distances(val), self.recipe.thresholds.limit)
        self._filled = f"memory: {len(self.memory.memory)} of {len(patches)} patches of {len(train)} good images"
        return [(self.predicted(val), val)]

    def summary(self, metrics: Metrics) -> Sequence[str]:
        """Number of entries in the memory, and false rejects of held-out good parts."""
        score = next(iter(load_checkpoint(self.best).meta.thresholds.values())).score
        return (
            f"{self._filled}; threshold {score:.3f}",
            f"false rejects of held-out good parts: {rate_text(_false_rejects(metrics))}; more good parts in the "
            "validation part narrow the interval",
        )

    def _patches(self, images: ImageSet) -> Tensor:
        """Features of good patches, float32 [N, features] on the host; at most `MOST_PATCHES`."""
        data = evaluation_set(images, self.compute.device, self.recipe.tile_grid)
        kept: list[Tensor] = []
        share = 1.0
        for features in _features(self.network, data, self.compute):
            if not kept:
                share = min(1.0, MOST_PATCHES / (len(data) * features.shape[2] * features.shape[3]))
            rows = features.float().permute(0, 2, 3, 1).flatten(0, 2).cpu()
            kept.append(rows[torch.rand(len(rows), generator=self.generator) < share])
        return torch.cat(kept)

    def _good_distances(self, images: ImageSet) -> Tensor:
        """Largest distance of each good part, float32 [N], with the scores by which its pictures are judged."""
        scores = judged_together(self.predicted(images), images, self.recipe.thresholds.exposures).scores
        p = scores[:, 0].astype(np.float64)  # of an untouched logistic: the distance less 1 in log-odds
        distances = (np.log(p / (1 - p)) + 1).astype(np.float32)
        good = ~np.asarray(images.labels.any(axis=1))
        names = [part for part, is_good in zip(images.parts, good, strict=True) if is_good]
        return torch.from_numpy(worst(distances[good], group(names, images.labels[good])))


@torch.inference_mode()
def _features(network: NormalisedNetwork, data: DeviceSet, compute: Compute) -> Iterator[Tensor]:
    memory = cast(PatchMemory, network.body)
    for one in data.in_order(compute.batch):
        with compute.autocast():
            yield memory.features(network.prepared(one.frames))


def _false_rejects(metrics: Metrics) -> Rate:
    return metrics.parts.false_rejects if metrics.parts is not None else metrics.false_rejects
