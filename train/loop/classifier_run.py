"""Run that fits a classifier of patches to the features of the training pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from train.data.dataset import Dataset
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet
from train.data.splits import Split
from train.device import Compute
from train.errors import SplitError
from train.evaluate.metrics import Metrics
from train.evaluate.tables import rate_text
from train.loop.feature_maps import FeatureMap, FeatureMaps
from train.loop.one_pass_run import OnePassRun
from train.loop.training_data import TrainingData
from train.losses import targets
from train.models.network import resized
from train.models.patch_classifier import STRIDE_PX, VIEWS, PatchClassifier, described, smooth
from train.recipe import CropsRecipe, Recipe

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
MOST_BYTES = 6 * 2**30
"""Size of the file of features; where the pictures would take more, as many as fit are drawn."""
_FOR_NORMALISATION = 80
"""Good pictures that the normalisation is computed from."""


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
        sound = [one.draw(_FOR_NORMALISATION // len(maps), self.generator, good=True)[0] for one in maps]
        patches = [described(one.to(self.compute.device)).transpose(0, 1).flatten(1).T for one in sound]
        self.classifier.normalise_by(torch.cat(patches))
        weights = [*self.classifier.find.parameters(), *self.classifier.name.parameters()]
        settings = self.recipe.optimiser
        optimiser = torch.optim.AdamW(weights, settings.learning_rate, weight_decay=settings.weight_decay)
        steps = STEPS * self.recipe.run.epochs
        curve = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, steps)
        self.network.train()
        self.classifier.encoder.eval()
        for step in track(
            range(steps), "fitting", console=self.console, transient=True, disable=not self.console.is_terminal
        ):
            optimiser.zero_grad()
            self._loss(*maps[step % len(maps)].draw(self.recipe.run.batch, self.generator)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            curve.step()
        self.network.eval()
        at = f", at {len(maps)} sizes" if len(maps) > 1 else ""
        self._fitted = f"{len(maps[0])} pictures and mirror images of {len(train)} images{at}"

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

    def _maps(self, images: ImageSet) -> list[FeatureMaps]:
        """Of each size at which the encoder sees the pictures."""
        recipe = self.recipe.model_copy(update={"crops": CropsRecipe()})  # none: they are worth nothing here
        data = TrainingData(images, recipe, self.compute.device, self.dataset.classes).of(0, ())
        seen = self.recipe.input.network
        sizes = self.classifier.sizes(seen.height, seen.width)
        patches = sum((height // STRIDE_PX) * (width // STRIDE_PX) for height, width in sizes)
        map_bytes = self.classifier.feature_count * patches * 2
        rows = chosen(
            data.labels.any(dim=1), data.outlined.all(dim=1), MOST_BYTES // map_bytes // len(VIEWS), self.generator
        )
        most = len(rows) * len(VIEWS)
        maps = [FeatureMaps(self._mapped(data, rows, images.parts, size), most, self.out) for size in sizes]
        if not maps[0].outlined:
            raise SplitError(
                f"split: found no outline in the train part of {self.dataset.name}, expected some: this recipe learns "
                "from outlined defects; outline some, or take --recipe own-parts"
            )
        return maps

    @torch.inference_mode()
    def _mapped(
        self, data: DeviceSet, rows: Tensor, parts: Sequence[str], size: tuple[int, int]
    ) -> Iterator[FeatureMap]:
        """Features of the pictures at this size and of their mirror images, and shares of the classes in the patches.

        On the host.
        """
        numbers = {part: number for number, part in enumerate(dict.fromkeys(parts))}
        for some in track(
            torch.split(rows, self.compute.batch),
            "features",
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ):
            batch = data.batch(some)
            prepared = resized(self.network.prepared(batch.frames), size)
            outlines = targets(batch, (data.images.shape[2], data.images.shape[3])).fractions  # of whole pixels
            for axes in VIEWS:
                with self.compute.autocast():
                    found = self.classifier.features(prepared.flip(axes))
                shares = functional.adaptive_avg_pool2d(outlines, (found.shape[2], found.shape[3])).flip(axes)
                for row, one, share in zip(
                    some.tolist(), found.half().cpu().numpy(), shares.cpu().numpy(), strict=True
                ):
                    part = numbers[parts[row * len(parts) // len(data)]]
                    yield FeatureMap(part, one, share)


def chosen(defective: Tensor, outlined: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Rows of pictures, or of tiles drawn from them, whose classes are all outlined; bool [N] each.

    Where they are more than `most`: as many at random, of good ones no more than are needed.
    """
    usable = torch.nonzero(outlined.cpu())[:, 0]
    if len(usable) <= most:
        return usable
    order = usable[torch.randperm(len(usable), generator=generator)]
    shows = defective.cpu()[order]
    bad = order[shows][: max(most // 2, most - int((~shows).sum()))]
    return torch.cat((bad, order[~shows][: most - len(bad)])).sort().values


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
