"""Base of runs that see each picture once: the encoder stays as it is, what follows it is fitted to its features."""

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from bundle import encode_png
from train.data.dataset import Dataset
from train.data.image_set import ImageSet, joined
from train.data.splits import Split, save_split
from train.device import Compute
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import Outputs, evaluate, joined_outputs, judged_together
from train.evaluate.predict import predict
from train.evaluate.thresholds import choose_thresholds
from train.loop.lr_schedule import epoch_generator
from train.loop.run_folder import RunFolder, learnt_pictures
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from train.recipe import Recipe

Judged = tuple[Outputs, ImageSet]
"""Outputs of a network for held-out images, with these images."""


class OnePassRun(RunFolder, ABC):
    """One run in one folder: `best.pt`, `metrics.json` and the report."""

    def __init__(self, recipe: Recipe, dataset: Dataset, split: Split, out: Path, compute: Compute, console: Console):
        super().__init__(recipe, dataset, split, out, compute, console)
        self.generator = epoch_generator(recipe.seed, 0)
        self.network = compute.place(make_network(recipe.network, recipe.input.channels, len(dataset.classes))).eval()

    @abstractmethod
    def fit(self, train: ImageSet, val: ImageSet) -> Sequence[Judged]:
        """Fit the network to the pictures; returns what the thresholds are chosen on."""

    @abstractmethod
    def summary(self, metrics: Metrics) -> Sequence[str]:
        """Lines on the fit; the metrics are those of the images that chose the thresholds."""

    def train(self) -> None:
        """Fit the network, choose the thresholds, write `best.pt`; prints a summary.

        Raises CheckpointError if the folder holds another run.
        """
        if self.best.exists():
            stored = load_checkpoint(self.best).meta
            self._check_same(stored, stored.recipe)
        save_split(self.split, self.out / "split.json")
        train, val = self.load("train"), self.load("val")
        self.learnt = learnt_pictures(train)
        judged = self.fit(train, val)
        outputs, images = joined_outputs([one for one, _ in judged]), joined(one for _, one in judged)
        outputs = judged_together(outputs, images, self.recipe.thresholds.exposures)
        thresholds = choose_thresholds(outputs, images, self.dataset.classes, self.recipe.thresholds)
        metrics = evaluate(outputs, images, thresholds, self.dataset.classes)
        meta = self._meta(thresholds, metrics, epoch=1, example=b64encode(encode_png(self._example(train))).decode())
        save_checkpoint(Checkpoint(meta, self.network.state_dict()), self.best)
        self.console.print(*self.summary(metrics), sep="\n", highlight=False)

    def predicted(self, images: ImageSet) -> Outputs:
        """Scores and masks of each image; exposures are not judged together."""
        return predict(self.network, images, self.compute, grid=self.recipe.tile_grid)

    def _example(self, images: ImageSet) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """A good picture, or with tiles its first tile, uint8 [H, W] or [H, W, 3]: the one of median brightness.

        Of all pictures where none is good.
        """
        good = np.flatnonzero(~images.labels.astype(bool).any(axis=1))
        among = good if len(good) else np.arange(len(images.images))
        means = images.images.mean(axis=(1, 2, 3))[among]
        picture = images.images[among[int(np.argsort(means)[len(means) // 2])]]
        grid = self.recipe.tile_grid
        seen = picture if grid is None else grid.tile(picture, *grid.places[0])
        return np.ascontiguousarray(seen[0] if len(seen) == 1 else seen.transpose(1, 2, 0))
