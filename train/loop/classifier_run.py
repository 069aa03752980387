"""Run that fits a classifier of patches to the features of the training pictures."""

from collections.abc import Iterator, Sequence
from itertools import chain
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
from train.losses import Loss, Targets, targets
from train.models.network import resized
from train.models.patch_classifier import OUTLINE_PX, STRIDE_PX, VIEWS, PatchClassifier, smooth
from train.models.patch_features import PatchFeatures
from train.recipe import LossRecipe, Recipe

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
"""Size of the file of features; of pictures and crops that would take more, as many as fit are drawn."""
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
        self._outline_loss = Loss(LossRecipe(area_weights=True, dice=1), 1, compute.device)

    @property
    def classifier(self) -> PatchClassifier:
        """The network behind its normalisation."""
        return cast(PatchClassifier, self.network.body)

    def fit(self, train: ImageSet, val: ImageSet) -> None:
        """Train the heads with AdamW and a one-cycle learning rate. Raises SplitError without an outline."""
        maps = self._maps(train)
        sound = [one.draw(_FOR_NORMALISATION // len(maps), self.generator, "good")[0] for one in maps]
        self.classifier.fit_descriptions([features.to(self.compute.device) for features in sound])
        heads = (self.classifier.find, self.classifier.name, self.classifier.outline)
        settings = self.recipe.optimiser
        optimiser = torch.optim.AdamW(
            [weight for head in heads for weight in head.parameters()],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        steps = STEPS * self.recipe.run.epochs
        curve = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, steps)
        self.network.train()
        self.classifier.encoder.eval()
        for step in track(
            range(steps), "fitting", console=self.console, transient=True, disable=not self.console.is_terminal
        ):
            optimiser.zero_grad()
            self._loss(maps[step % len(maps)]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            curve.step()
        self.network.eval()
        crops = len(maps[0]) - maps[0].pictures
        made = f" and {crops} crops" if crops else ""
        at = f", at {len(maps)} sizes" if len(maps) > 1 else ""
        self._fitted = f"{maps[0].pictures} pictures and mirror images of {len(train)} images{made}{at}"

    def summary(self, metrics: Metrics) -> Sequence[str]:
        """Number of patches, escapes and false rejects of the validation part."""
        return (
            f"trained on {self._fitted}",
            f"validation part: escapes {rate_text(metrics.escapes)}, false rejects {rate_text(metrics.false_rejects)}",
        )

    def _loss(self, maps: FeatureMaps) -> Tensor:
        """Cross entropy of patches and of pictures, of the classes of defective patches, and of outlines."""
        count = self.recipe.run.batch
        features, shares = maps.draw(count, self.generator, "pictures")
        x = self._noisy(self.classifier.descriptions(features.to(self.compute.device).patches()))
        shares = functional.avg_pool2d(shares.to(self.compute.device), STRIDE_PX // OUTLINE_PX)
        found, share = self.classifier.find(x)[:, 0], shares.amax(dim=1)
        found_and_named = _finding(found, share) + self._naming(x, shares)
        return found_and_named + self._outlining(*maps.draw(count, self.generator, "outlines"))

    def _outlining(self, features: PatchFeatures, shares: Tensor) -> Tensor:
        """Of the union of the classes: a defect of few pixels weighs about as much as a large one."""
        head = self.classifier.outline
        described = [self._noisy(x) for x in head.described(features.to(self.compute.device))]
        with self.compute.autocast():
            logits = head(described)
        union = shares.amax(dim=1, keepdim=True).to(self.compute.device)
        defective = union.amax(dim=(2, 3)).gt(0).float()  # [B, 1]
        truth = Targets(defective, torch.ones_like(defective), union, union[:, 0])
        terms = self._outline_loss.terms(logits.float(), truth)
        return terms.segmentation.mean() + terms.dice

    def _noisy(self, x: Tensor) -> Tensor:
        return x + NOISE * torch.randn(x.shape, generator=self.generator).to(x)

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
        if not (images.labels.any(axis=1) & images.outlined.all(axis=1)).any():
            raise SplitError(
                f"split: found no outline in the train part of {self.dataset.name}, expected some: this recipe learns "
                "from outlined defects; outline some, or take --recipe own-parts"
            )
        drawn = TrainingData(images, self.recipe, self.compute.device, self.dataset.classes).of(0, ())
        seen = self.recipe.input.network
        sizes = self.classifier.sizes(seen.height, seen.width)
        cells = sum(height * width for height, width in sizes) // OUTLINE_PX**2
        room = MOST_BYTES // int(self.classifier.cell_features * cells * 2)
        crops = torch.arange(drawn.own, len(drawn))[: room // 2]
        labels, outlined = drawn.labels[: drawn.own], drawn.outlined[: drawn.own]
        rows = chosen(labels.any(dim=1), outlined.all(dim=1), max(2, (room - len(crops)) // len(VIEWS)), self.generator)
        most = len(rows) * len(VIEWS) + len(crops)
        return [
            FeatureMaps(
                chain(self._mapped(drawn, rows, images.parts, size), self._mapped(drawn, crops, (), size)),
                most,
                self.out,
            )
            for size in sizes
        ]

    @torch.inference_mode()
    def _mapped(
        self, data: DeviceSet, rows: Tensor, parts: Sequence[str], size: tuple[int, int]
    ) -> Iterator[FeatureMap]:
        """Features of the pictures at this size and of their mirror images, and shares of the classes in their cells.

        On the host. Without the names of their parts they are crops, of which no mirror image is taken.
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
            for axes in VIEWS if parts else VIEWS[:1]:
                with self.compute.autocast():
                    found = self.classifier.features(prepared.flip(axes))
                cells = found.quarter.shape[2], found.quarter.shape[3]
                shares = functional.adaptive_avg_pool2d(outlines, cells).flip(axes).cpu().numpy()
                scales = [scale.half().cpu().numpy() for scale in found]
                for row, share, *features in zip(some.tolist(), shares, *scales, strict=True):
                    part = numbers[parts[row * len(parts) // data.own]] if parts else row
                    yield FeatureMap(part, tuple(features), share, crop=not parts)


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
