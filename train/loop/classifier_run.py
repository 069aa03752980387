"""Run that fits a classifier of patches to the features of the training pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from train.data.dataset import Dataset
from train.data.device_set import DeviceSet
from train.data.folds import deal_groups
from train.data.image_set import ImageSet
from train.data.splits import Split
from train.device import Compute
from train.errors import SplitError
from train.evaluate.metrics import Metrics
from train.evaluate.tables import rate_text
from train.loop.feature_maps import FeatureMap, FeatureMaps
from train.loop.one_pass_run import Judged, OnePassRun
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
MOST_BYTES = 8 * 2**30
"""Size of the file of features; of pictures and crops that would take more, as many as fit are drawn."""
_FOR_NORMALISATION = 80
"""Good pictures that the normalisation is computed from."""

_Encoded = tuple[tuple[NDArray[np.float16], ...], NDArray[np.float32]]
"""`features` and `fractions` of a `FeatureMap`."""


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
        self._untrained = {name: value.clone() for name, value in self.network.state_dict().items()}
        self._fitted = ""
        self._noise = torch.empty(0)
        self._outline_loss = Loss(LossRecipe(area_weights=True, dice=1), 1, compute.device)

    @property
    def classifier(self) -> PatchClassifier:
        """The network behind its normalisation."""
        return cast(PatchClassifier, self.network.body)

    def fit(self, train: ImageSet, val: ImageSet) -> Sequence[Judged]:
        """Train the heads; where there are folds, before that once without each group of parts.

        Raises SplitError without an outline, or where too little is left without a group.
        """
        if not train.traced.any():
            raise SplitError(
                f"split: found no outline in the train part of {self.dataset.name}, expected some: this recipe learns "
                "from outlined defects; outline some, or take --recipe own-parts"
            )
        folds = self.recipe.thresholds.folds
        names = train.parts if self.split.kind == "by-part" else [str(number) for number in range(len(train))]
        groups = deal_groups(names, train.labels, train.traced, self.recipe.seed, folds)
        maps = self._maps(train, groups)
        left_out = range(int(groups.max()) + 1) if folds > 1 else range(0)
        if folds > 1 and not all(map(maps[0].spares, left_out)):
            raise SplitError(
                f"split: found {maps[0].pictures // len(VIEWS)} pictures of {self.dataset.name} whose features find "
                f"room, in {len(left_out)} groups of parts, expected good parts and parts with an outlined defect in "
                "two groups at least: thresholds are chosen on groups that are left out in turn; add parts, take a "
                "smaller input, or --set thresholds.folds=1"
            )
        steps = STEPS * self.recipe.run.epochs
        judged: list[Judged] = []
        for group in left_out:
            what = f"fitting without group {group + 1} of {len(left_out)}"
            self.fit_heads(maps, steps * (len(left_out) - 1) // len(left_out), what, group)
            images = train.take(groups == group)
            judged.append((self.predicted(images), images))
        self.fit_heads(maps, steps, "fitting")
        crops = len(maps[0]) - maps[0].pictures
        made = f" and {crops} crops" if crops else ""
        at = f", at {len(maps)} sizes" if len(maps) > 1 else ""
        self._fitted = f"{maps[0].pictures} pictures and mirror images of {len(train)} images{made}{at}"
        return judged or [(self.predicted(val), val)]

    def fit_heads(self, maps: Sequence[FeatureMaps], steps: int, what: str, without: int | None = None) -> None:
        """From their first weights, with AdamW and a one-cycle learning rate.

        what: said at the bar of the steps. without: the group that is not learnt.
        """
        self.network.load_state_dict(self._untrained)
        sound = [one.draw(_FOR_NORMALISATION // len(maps), self.generator, "good", without)[0] for one in maps]
        self.classifier.fit_descriptions([features.to(self.compute.device) for features in sound])
        heads = (self.classifier.find, self.classifier.name, self.classifier.outline)
        settings = self.recipe.optimiser
        optimiser = torch.optim.AdamW(
            [weight for head in heads for weight in head.parameters()],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        curve = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, steps)
        self.network.train()
        self.classifier.encoder.eval()
        for step in track(
            range(steps), what, console=self.console, transient=True, disable=not self.console.is_terminal
        ):
            optimiser.zero_grad()
            self._loss(maps[step % len(maps)], without).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            curve.step()
        self.network.eval()

    def summary(self, metrics: Metrics) -> Sequence[str]:
        """Number of pictures, escapes and false rejects of those that chose the thresholds."""
        unit = "its part" if self.split.kind == "by-part" else "it"
        judged = "validation part" if self.samples["val"] else f"each image by heads that had not learnt {unit}"
        return (
            f"trained on {self._fitted}",
            f"{judged}: escapes {rate_text(metrics.escapes)}, false rejects {rate_text(metrics.false_rejects)}",
        )

    def _loss(self, maps: FeatureMaps, without: int | None) -> Tensor:
        """Cross entropy of patches and of pictures, of the classes of defective patches, and of outlines."""
        count = self.recipe.run.batch
        features, shares = maps.draw(count, self.generator, "pictures", without)
        x = self._noisy(self.classifier.descriptions(features.to(self.compute.device).patches()))
        shares = functional.avg_pool2d(shares.to(self.compute.device), STRIDE_PX // OUTLINE_PX)
        with self.compute.autocast():
            found = self.classifier.find(x.contiguous(memory_format=torch.channels_last))[:, 0]
        found_and_named = _finding(found.float(), shares.amax(dim=1)) + self._naming(x, shares)
        return found_and_named + self._outlining(*maps.draw(count, self.generator, "outlines", without))

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
        """With a random section of one long noise: to draw it for each step takes as long as a head."""
        if len(self._noise) < 2 * x.numel():
            self._noise = (NOISE * torch.randn(2 * x.numel(), generator=self.generator)).to(x)
        start = int(torch.randint(len(self._noise) - x.numel(), (1,), generator=self.generator))
        return x + self._noise.as_strided(x.shape, x.stride(), start)

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

    def _maps(self, images: ImageSet, groups: NDArray[np.int64]) -> list[FeatureMaps]:
        """Of each size at which the encoder sees the pictures; groups: that of each image, int [N].

        Crops are made group by group, so that those of one say nothing of another.
        """
        pictures = self._drawn(images)
        image = np.arange(len(pictures)) * len(images) // len(pictures)  # that a tile is drawn from
        numbers = np.unique(images.parts, return_inverse=True)[1]
        made = self.crops(images, groups)
        seen = self.recipe.input.network
        sizes = self.classifier.sizes(seen.height, seen.width)
        cells = sum(height * width for height, width in sizes) // OUTLINE_PX**2
        room = MOST_BYTES // int(self.classifier.cell_features * cells * 2)
        crops = [torch.arange(one.own, len(one))[: room // 2 // len(made)] for one in made]
        rest = room - sum(map(len, crops))
        labels, outlined = pictures.labels, pictures.outlined
        rows = chosen(labels.any(dim=1), outlined.all(dim=1), max(2, rest // len(VIEWS)), self.generator)

        def mapped(size: tuple[int, int]) -> Iterator[FeatureMap]:
            for row, view in self._encoded(pictures, rows, VIEWS, size):
                yield FeatureMap(int(numbers[image[row]]), *view, group=int(groups[image[row]]))
            for group, (data, some) in enumerate(zip(made, crops, strict=True)):
                for row, view in self._encoded(data, some, VIEWS[:1], size):
                    yield FeatureMap(row, *view, group=group, crop=True)

        most = len(rows) * len(VIEWS) + sum(map(len, crops))
        return [FeatureMaps(mapped(size), most, self.out) for size in sizes]

    def crops(self, images: ImageSet, groups: NDArray[np.int64]) -> list[DeviceSet]:
        """The images of each group, followed by crops that are made of them; by none where they have no source."""
        members = [images.take(groups == group) for group in range(int(groups.max()) + 1)]
        wanted = [len(part) for part in np.array_split(np.arange(self.recipe.crops.images), len(members))]
        return [
            self._drawn(some, count, group) if some.good.any() and some.traced.any() else self._drawn(some)
            for group, (some, count) in enumerate(zip(members, wanted, strict=True))
        ]

    def _drawn(self, images: ImageSet, crops: int = 0, group: int = 0) -> DeviceSet:
        """The images, or the tiles that are drawn from them, followed by crops."""
        number = self.recipe.crops.model_copy(update={"images": crops})
        recipe = self.recipe.model_copy(update={"crops": number, "seed": self.recipe.seed + group})
        return TrainingData(images, recipe, self.compute.device, self.dataset.classes).of(0, ())

    @torch.inference_mode()
    def _encoded(
        self, data: DeviceSet, rows: Tensor, views: Sequence[tuple[int, ...]], size: tuple[int, int]
    ) -> Iterator[tuple[int, _Encoded]]:
        """Encoder features and class shares of these rows, resized to `size` and mirrored along each view's axes.

        On the host; with each the number of its row.
        """
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
            for axes in views:
                with self.compute.autocast():
                    found = self.classifier.features(prepared.flip(axes))
                cells = found.quarter.shape[2], found.quarter.shape[3]
                shares = functional.adaptive_avg_pool2d(outlines, cells).flip(axes).cpu().numpy()
                scales = [scale.half().cpu().numpy() for scale in found]
                for row, share, *features in zip(some.tolist(), shares, *scales, strict=True):
                    yield row, (tuple(features), share)


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
