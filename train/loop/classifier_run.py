"""Run that fits a classifier of patches to the features of the training pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from train.augment.batch import augment, draw
from train.data.dataset import Dataset
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet
from train.data.splits import Split
from train.device import Compute
from train.errors import SplitError
from train.evaluate.metrics import Metrics
from train.evaluate.tables import rate_text
from train.loop.feature_maps import FeatureMap, FeatureMaps, Kind
from train.loop.one_pass_run import OnePassRun
from train.loop.training_data import TrainingData
from train.losses import targets
from train.models.patch_classifier import FEATURES, STRIDE_PX, PatchClassifier, described, smooth
from train.recipe import Recipe

STEPS = 100
"""Of an epoch; each draws a batch."""
NAMED = 64
"""Patches of a step of each class that is in its batch."""
PICTURES_WEIGHT = 0.3
"""Of the loss on whole pictures, beside that on patches."""
NOISE = 0.2
"""Added to the descriptions, in deviations."""
DEFECTIVE_FROM = 0.25
"""Share of defect pixels from which on a patch shows the class; those between 0 and this are left out."""
AUGMENTED = {Kind.GOOD: 1, Kind.DEFECTIVE: 3, Kind.PASTED: 0}
"""Augmented copies of a picture, beside itself."""
MOST_BYTES = 6 * 2**30
"""Size of the file of features; where the pictures would take more, as many as fit are drawn."""
_FOR_NORMALISATION = 80
"""Good pictures that the normalisation is computed from."""


@dataclass(frozen=True)
class Copy:
    """A picture of the training data that the encoder sees."""

    row: int
    part: int
    kind: Kind
    augmented: bool


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
        """Train both heads with AdamW and a one-cycle learning rate. Raises SplitError without an outline."""
        maps = self._maps(train)
        sound, _ = maps.draw(_FOR_NORMALISATION, self.generator, only=Kind.GOOD)
        self.classifier.normalise_by(described(sound.to(self.compute.device)))
        weights = [*self.classifier.find.parameters(), *self.classifier.name.parameters()]
        settings = self.recipe.optimiser
        optimiser = torch.optim.AdamW(weights, settings.learning_rate, weight_decay=settings.weight_decay)
        steps = STEPS * self.recipe.run.epochs
        curve = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, steps)
        self.network.train()
        self.classifier.encoder.eval()
        for _ in track(
            range(steps), "fitting", console=self.console, transient=True, disable=not self.console.is_terminal
        ):
            optimiser.zero_grad()
            self._loss(*maps.draw(self.recipe.run.batch, self.generator)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            curve.step()
        self.network.eval()
        self._fitted = f"{len(maps)} pictures and augmented copies of {len(train)} images"

    def summary(self, metrics: Metrics) -> Sequence[str]:
        """Number of patches, escapes and false rejects of the validation part."""
        return (
            f"trained on {self._fitted}",
            f"validation part: escapes {rate_text(metrics.escapes)}, false rejects {rate_text(metrics.false_rejects)}",
        )

    def _loss(self, features: Tensor, shares: Tensor) -> Tensor:
        """Cross entropy of patches and of pictures, defective or not, and of the classes of defective patches."""
        x = self.classifier.normalised(described(features.to(self.compute.device)))
        x = x + NOISE * torch.randn(x.shape, generator=self.generator).to(x)
        shares = shares.to(self.compute.device)
        found, share = self.classifier.find(x)[:, 0], shares.amax(dim=1)
        return _finding(found, share) + self._naming(x, shares)

    def _naming(self, x: Tensor, shares: Tensor) -> Tensor:
        """Mean over `NAMED` random patches of each class in the batch; 0 without any."""
        rows, classes = [], []
        for kind, shown in enumerate((shares > DEFECTIVE_FROM).transpose(0, 1)):
            cells = torch.nonzero(shown)  # [N, 3]: picture, row, column
            if len(cells):
                rows.append(cells[torch.randint(len(cells), (NAMED,), generator=self.generator).to(cells.device)])
                classes.append(kind)
        if not rows:
            return x.new_zeros(())
        picture, row, column = torch.cat(rows).T
        named = self.classifier.name(x[picture, :, row, column, None, None])[:, :, 0, 0]
        return functional.cross_entropy(named, torch.tensor(classes).repeat_interleave(NAMED).to(named.device))

    def _maps(self, images: ImageSet) -> FeatureMaps:
        data = TrainingData(images, self.recipe, self.compute.device, self.dataset.classes).of(0, ())
        seen = self.recipe.input.network
        map_bytes = FEATURES * (seen.height // STRIDE_PX) * (seen.width // STRIDE_PX) * 2
        copies = within(_copies(data, images, self.recipe.crops.images), MOST_BYTES // map_bytes, self.generator)
        maps = FeatureMaps(self._mapped(data, copies), len(copies), self.out)
        if not maps.outlined:
            raise SplitError(
                f"split: found no outline in the train part of {self.dataset.name}, expected some: this recipe learns "
                "from outlined defects; outline some, or take --recipe own-parts"
            )
        return maps

    @torch.inference_mode()
    def _mapped(self, data: DeviceSet, copies: Sequence[Copy]) -> Iterator[FeatureMap]:
        """Features of each copy and shares of the classes in its patches, on the host."""
        size = self.recipe.run.batch
        for first in track(
            range(0, len(copies), size),
            "features",
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ):
            chosen = copies[first : first + size]
            batch = data.batch(torch.tensor([copy.row for copy in chosen]))
            drawn = draw(len(chosen), self.recipe.augment, self.generator)
            moved = augment(batch, self.recipe.augment, drawn)
            changed = torch.tensor([copy.augmented for copy in chosen]).to(batch.frames.device)[:, None, None, None]
            frames = torch.where(changed, moved.frames, batch.frames.float())
            truth = replace(batch, bits=torch.where(changed, moved.bits, batch.bits))
            with self.compute.autocast():
                found = self.classifier.features(self.network.prepared(frames))
            shares = targets(truth, (found.shape[2], found.shape[3])).fractions
            for copy, one, share in zip(chosen, found.half().cpu().numpy(), shares.cpu().numpy(), strict=True):
                yield FeatureMap(copy.part, copy.kind, one, share)


def _copies(data: DeviceSet, images: ImageSet, pasted: int) -> list[Copy]:
    """Pictures, or tiles drawn from them, whose classes are all outlined, and the `pasted` ones behind them."""
    own = len(data) - pasted
    numbers = {part: number for number, part in enumerate(dict.fromkeys(images.parts))}
    defective, outlined = data.labels.any(dim=1).tolist(), data.outlined.all(dim=1).tolist()
    copies = []
    for row in range(own):
        kind = Kind.DEFECTIVE if defective[row] else Kind.GOOD
        part = numbers[images.parts[row * len(images) // own]]
        if outlined[row]:
            copies += [Copy(row, part, kind, augmented) for augmented in (False, *[True] * AUGMENTED[kind])]
    return copies + [Copy(row, len(numbers) + row, Kind.PASTED, False) for row in range(own, len(data))]


def within(copies: Sequence[Copy], most: int, generator: torch.Generator) -> Sequence[Copy]:
    """`most` of the copies at random, of good pictures no more than are needed; all where they are fewer."""
    if len(copies) <= most:
        return copies
    order = torch.randperm(len(copies), generator=generator).tolist()
    good = [row for row in order if copies[row].kind is Kind.GOOD]
    other = [row for row in order if copies[row].kind is not Kind.GOOD][: max(most // 2, most - len(good))]
    return [copies[row] for row in sorted(other + good[: most - len(other)])]


def _finding(found: Tensor, share: Tensor) -> Tensor:
    """Cross entropy of logits [B, h, w]; share: of defect pixels in each patch.

    Half of it on defective patches, a quarter on sound ones beside defects, a quarter on those of good pictures, each
    picture alike; and that of each picture's largest logit.
    """
    losses = functional.binary_cross_entropy_with_logits(found, (share > DEFECTIVE_FROM).float(), reduction="none")
    defective = share.amax(dim=(1, 2)) > 0
    sound, beside = share == 0, defective[:, None, None]
    patches = 2 * _mean_by_picture(losses, share > DEFECTIVE_FROM)
    patches = patches + _mean_by_picture(losses, sound & beside) + _mean_by_picture(losses, sound & ~beside)
    largest = smooth(found[:, None]).amax(dim=(1, 2, 3))
    return patches / 4 + PICTURES_WEIGHT * functional.binary_cross_entropy_with_logits(largest, defective.float())


def _mean_by_picture(losses: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen patches of a picture, then over the pictures that have some."""
    counts = chosen.sum(dim=(1, 2))
    means = (losses * chosen).sum(dim=(1, 2)) / counts.clamp(min=1)
    return means.sum() / (counts > 0).sum().clamp(min=1)
