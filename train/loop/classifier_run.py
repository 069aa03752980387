"""Run that fits a classifier of patches to the descriptions of the training pictures' patches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from train.data.dataset import Dataset
from train.data.device_set import Batch, evaluation_set
from train.data.image_set import ImageSet
from train.data.splits import Split
from train.device import Compute
from train.errors import SplitError
from train.evaluate.metrics import Metrics
from train.evaluate.tables import rate_text
from train.loop.one_pass_run import OnePassRun
from train.loop.patches import MOST, CutPicture, Patches
from train.losses import targets
from train.models.patch_classifier import PatchClassifier
from train.recipe import Recipe

STEPS = 100
"""Of an epoch; each draws its patches."""
PATCHES = 2048
"""Patches of a step that tell defective from sound."""
NAMED = 64
"""Patches of a step of each class."""
NOISE = 0.2
"""Added to the descriptions, in deviations."""
_FOR_NORMALISATION = 20_000
"""Sound patches that the normalisation is computed from."""


class ClassifierRun(OnePassRun):
    """Raises SplitError if the training part has no outlined defect or no good image."""

    def __init__(self, recipe: Recipe, dataset: Dataset, split: Split, out: Path, compute: Compute, console: Console):
        super().__init__(recipe, dataset, split, out, compute, console)
        if all(sample.good for sample in self.samples["train"]):
            raise SplitError(
                f"split: found no defective image of {dataset.name} in the train part, expected some; for good parts "
                "alone take --recipe good-only"
            )
        if not any(sample.good for sample in self.samples["train"]):
            raise SplitError(
                f"split: found no good image of {dataset.name} in the train part, expected some: patches of good and "
                "defective parts are compared; add good parts"
            )
        self._fitted = ""

    @property
    def classifier(self) -> PatchClassifier:
        """The network behind its normalisation."""
        return cast(PatchClassifier, self.network.body)

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        """Train both perceptrons with AdamW and a one-cycle learning rate. Raises SplitError without an outline."""
        patches = self._patches(train)
        sound = patches.good.draw(_FOR_NORMALISATION, self.generator)
        self.classifier.normalise_by(patches.descriptions[sound].to(self.compute.device).float())
        weights = [*self.classifier.find.parameters(), *self.classifier.name.parameters()]
        settings = self.recipe.optimiser
        optimiser = torch.optim.AdamW(weights, settings.learning_rate, weight_decay=settings.weight_decay)
        steps = STEPS * self.recipe.run.epochs
        curve = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, steps)
        self.network.train()
        for _ in range(steps):
            optimiser.zero_grad()
            self._loss(patches).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            curve.step()
        self.network.eval()
        self._fitted = f"{len(patches.labels)} patches of {len(train)} images, {len(patches.classes)} classes outlined"

    def summary(self, metrics: Metrics) -> Sequence[str]:
        """Number of patches, escapes and false rejects of the validation part."""
        return (
            f"trained on {self._fitted}",
            f"validation part: escapes {rate_text(metrics.escapes)}, false rejects {rate_text(metrics.false_rejects)}",
        )

    def _loss(self, patches: Patches) -> Tensor:
        """Cross entropy of defective or not, and of the classes of defective patches."""
        drawn = patches.draw(PATCHES, self.generator)
        defective = patches.labels[drawn].any(dim=1).to(self.compute.device).float()
        found = self.classifier.find(self._noisy(patches.descriptions[drawn]))[:, 0, 0, 0]
        drawn, classes = patches.draw_named(NAMED, self.generator)
        named = self.classifier.name(self._noisy(patches.descriptions[drawn]))[:, :, 0, 0]
        finding = functional.binary_cross_entropy_with_logits(found, defective)
        return finding + functional.cross_entropy(named, classes.to(self.compute.device))

    def _noisy(self, descriptions: Tensor) -> Tensor:
        """Normalised descriptions [N, DESCRIPTION, 1, 1] with noise."""
        x = self.classifier.normalised(descriptions.to(self.compute.device).float()[:, :, None, None])
        return x + NOISE * torch.randn(x.shape, generator=self.generator).to(x)

    def _patches(self, images: ImageSet) -> Patches:
        grid = self.recipe.tile_grid
        pictures = len(images) * len(self._flips) * (1 if grid is None else len(grid.places))
        patches = Patches(self._cut(images), max(1, MOST // pictures), self.generator)
        if not patches.classes:
            raise SplitError(
                f"split: found no outline in the train part of {self.dataset.name}, expected some: this recipe learns "
                "from outlined defects; outline some, or take --recipe own-parts"
            )
        return patches

    @property
    def _flips(self) -> list[tuple[int, ...]]:
        """Axes of the picture and its mirror images that are learnt."""
        augment = self.recipe.augment
        return [(), *([(3,)] if augment.flip_horizontal else []), *([(2,)] if augment.flip_vertical else [])]

    @torch.inference_mode()
    def _cut(self, images: ImageSet) -> Iterator[CutPicture]:
        """All pictures, or their tiles, and their mirror images; those whose classes are all outlined."""
        grid = self.recipe.tile_grid
        tiles = 1 if grid is None else len(grid.places)
        numbers = {part: number for number, part in enumerate(dict.fromkeys(images.parts))}
        at = 0
        for batch in evaluation_set(images, self.compute.device, grid).in_order(self.recipe.run.batch):
            for flip in self._flips:
                for place, (descriptions, fractions) in enumerate(self._described(batch, flip)):
                    if batch.outlined[place].all():
                        part = numbers[images.parts[(at + place) // tiles]]
                        yield CutPicture(part, not bool(batch.labels[place].any()), descriptions, fractions)
            at += len(batch.labels)

    def _described(self, batch: Batch, flip: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Descriptions [P, D] and shares of the classes [P, C] of each picture, on the host."""
        with self.compute.autocast():
            found = self.classifier.describe(self.network.prepared(batch.frames.flip(flip))).flip(flip)
        shares = targets(batch, (found.shape[2], found.shape[3])).fractions
        for one, share in zip(found.float().cpu(), shares.cpu(), strict=True):
            yield one.flatten(1).T, share.flatten(1).T
