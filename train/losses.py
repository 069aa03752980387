"""Scheduled classification and segmentation loss, with a positive weight per class.

The first two terms are equations 1 and 2 of the paper. The other terms are additions, off in its recipe. Detection
and naming separate two questions that the classes' masks mix: where is a defect, and which class is it. Few defective
parts are enough for the first one, and each image counts as much as another in the second, however small its defect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from train.data.device_set import Batch
from train.models.network import image_scores
from train.recipe import LossRecipe, Schedule

LARGEST_AREA_WEIGHT = 60.0
"""Weight of a defect of 33 pixels in 400x300; upper limit for smaller ones."""


@dataclass(frozen=True)
class Targets:
    """Ground truth of a batch, or a teacher's masks, at the size of the network's masks."""

    labels: Tensor
    """float [B, C], 1 if the image has the class, or a teacher's score."""
    outlined: Tensor
    """float [B, C], 0 if the image has the class but no outline; such pairs have no mask loss."""
    fractions: Tensor
    """float [B, C, h, w], share of defect pixels in each cell, 0 to 1."""
    any_fraction: Tensor
    """float [B, h, w], the same for the union of all classes."""


def targets(batch: Batch, size: tuple[int, int]) -> Targets:
    """Ground truth at the mask size (h, w), which divides the size of the frames."""
    kinds = range(batch.labels.shape[1])
    planes = [batch.bits[:, kind // 8] >> kind % 8 & 1 for kind in kinds]
    masks = torch.stack((*planes, batch.bits.amax(dim=1).clamp(max=1)), dim=1)  # [B, C + 1, H, W]
    fractions = _cell_means(masks, size)
    return Targets(batch.labels, batch.outlined, fractions[:, :-1], fractions[:, -1])


def _cell_means(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Average pooling of masks uint8 [..., H, W] to float [..., h, w].

    Sums integers, which takes a quarter of the time of float pooling.
    """
    rows, columns = masks.shape[-2] // size[0], masks.shape[-1] // size[1]
    of_rows = reduce(torch.add, [masks[..., row::rows, :] for row in range(rows)]).to(torch.int16)
    return reduce(torch.add, [of_rows[..., column::columns] for column in range(columns)]) / (rows * columns)


@dataclass(frozen=True)
class LossTerms:
    """Terms of the loss, before weighting by the schedule."""

    classification: Tensor
    """[C]"""
    segmentation: Tensor
    """[C]"""
    dice: Tensor
    """[]"""
    union: Tensor
    """[]"""
    detection: Tensor
    """[]"""
    naming: Tensor
    """[]"""


def schedule_weights(schedule: Schedule, epoch: int, epochs: int, share: float = 0.5) -> tuple[float, float]:
    """Weights of the classification and segmentation terms in epoch `epoch` of `epochs`, counted from 0.

    "classification-first" is equations 1 and 2 of the paper, read literally: the segmentation weight grows with n / N.
    """
    grown = epoch / epochs
    if schedule == "constant":
        return share, 1 - share
    return (1 - grown, grown) if schedule == "classification-first" else (grown, 1 - grown)


class Loss:
    """Loss function of a recipe for a number of classes."""

    def __init__(self, recipe: LossRecipe, classes: int, device: torch.device):
        self.recipe = recipe
        self.class_weights = _weights(recipe.class_weights, classes, device)  # [C]
        self.mask_weights = _weights(recipe.mask_weights, classes, device)  # [C]

    def terms(self, logits: Tensor, targets: Targets) -> LossTerms:
        """All terms for float32 logits [B, C, h, w]."""
        recipe, nothing = self.recipe, logits.new_zeros(())
        dice = _dice if recipe.dice_over == "image" else _dice_over_batch
        return LossTerms(
            classification=self._classification(logits, targets),
            segmentation=self._segmentation(logits, targets),
            dice=dice(logits, targets) if recipe.dice else nothing,
            union=_union(logits, targets) if recipe.union else nothing,
            detection=_detection(logits, targets, recipe.pool_cells) if recipe.detection else nothing,
            naming=_naming(logits, targets) if recipe.naming else nothing,
        )

    def total(self, terms: LossTerms, epoch: int, epochs: int) -> Tensor:
        """Weighted sum in epoch `epoch` of `epochs`; the extra terms have the segmentation weight."""
        classify, segment = self._weights(epoch, epochs)
        recipe = self.recipe
        extra = recipe.dice * terms.dice + recipe.union * terms.union
        extra = extra + recipe.detection * terms.detection + recipe.naming * terms.naming
        return classify * terms.classification.mean() + segment * (terms.segmentation.mean() + extra)

    def per_class(self, terms: LossTerms, epoch: int, epochs: int) -> Tensor:
        """Weighted loss of each class, [C], without the terms that have no class."""
        classify, segment = self._weights(epoch, epochs)
        return classify * terms.classification + segment * terms.segmentation

    def _weights(self, epoch: int, epochs: int) -> tuple[float, float]:
        return schedule_weights(self.recipe.schedule, epoch, epochs, self.recipe.share)

    def _classification(self, logits: Tensor, targets: Targets) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            _pooled(logits, self.recipe.pool_cells), targets.labels, pos_weight=self.class_weights, reduction="none"
        ).mean(dim=0)

    def _segmentation(self, logits: Tensor, targets: Targets) -> Tensor:
        """Cross-entropy over the full-size pixels, computed exactly at the mask size.

        Nearest-neighbour upsampling repeats a logit over its cell and cross-entropy is linear in the truth, so the
        mean over a cell's pixels equals the cross-entropy against their share of defect pixels.
        """
        weights, mean = self._mask_weights(targets)
        losses = functional.binary_cross_entropy_with_logits(
            logits, targets.fractions, pos_weight=weights, reduction="none"
        ).mean(dim=(2, 3))  # [B, C]
        return (losses / mean * targets.outlined).mean(dim=0)

    def _mask_weights(self, targets: Targets) -> tuple[Tensor, Tensor]:
        """Positive weight of defect cells, [1 or B, C, 1, 1], and the divisor of each pair's loss, [1 or B, C].

        With area weights, the positive weight of a defect that covers the share s of its image is
        sqrt((1 - s) / s): a blowhole of 150 pixels contributes a thirtieth of its mask's loss instead of a thousandth.
        The divisor, the mean weight, keeps the losses of small and large defects on one scale.
        """
        weights = self.mask_weights.view(1, -1, 1, 1)
        if not self.recipe.area_weights:
            return weights, torch.ones_like(weights[..., 0, 0])
        # an image that is all defect would have weight 0 and divisor 0
        share = targets.fractions.mean(dim=(2, 3), keepdim=True).clamp(max=1 - 1e-6)  # [B, C, 1, 1]
        root = ((1 - share) / share.clamp(min=1e-6)).sqrt().clamp(max=LARGEST_AREA_WEIGHT)
        weights = torch.where(share > 0, root, weights)
        return weights, (1 + (weights - 1) * share)[..., 0, 0]


def _dice(logits: Tensor, targets: Targets) -> Tensor:
    """One minus the soft Dice overlap, mean over the outlined positives (Milletari et al., V-Net, 2016)."""
    overlap = _soft_overlap(torch.sigmoid(logits), targets.fractions)  # [B, C]
    counted = targets.labels * targets.outlined
    return ((1 - overlap) * counted).sum() / counted.sum().clamp(min=1)


def _dice_over_batch(logits: Tensor, targets: Targets) -> Tensor:
    """The same with sums over all images of the batch, mean over the classes that one of them has.

    False alarms in images without the class count, and an image's weight grows with the area of its defect.
    """
    counted = targets.outlined[..., None, None]  # [B, C, 1, 1]
    planes = (torch.sigmoid(logits) * counted, targets.fractions * counted)
    overlap = _soft_overlap(*(plane.transpose(0, 1).flatten(2) for plane in planes))  # [C], over [C, B, h * w]
    present = (targets.labels * targets.outlined).amax(dim=0)
    return ((1 - overlap) * present).sum() / present.sum().clamp(min=1)


def _union(logits: Tensor, targets: Targets) -> Tensor:
    """Cross-entropy plus Dice of the largest channel against the union of all classes: defect or not."""
    largest = logits.amax(dim=1)  # [B, h, w]
    complete = targets.outlined.amin(dim=1)  # [B]
    entropy = functional.binary_cross_entropy_with_logits(largest, targets.any_fraction, reduction="none").mean((1, 2))
    overlap = _soft_overlap(torch.sigmoid(largest), targets.any_fraction)  # [B]
    defective = targets.labels.amax(dim=1) * complete
    return (entropy * complete).mean() + ((1 - overlap) * defective).sum() / defective.sum().clamp(min=1)


def _detection(logits: Tensor, targets: Targets, pool_cells: int) -> Tensor:
    """Cross-entropy of images and of cells plus Dice of the logarithm of the classes' summed odds: defect or not.

    The Dice loss is half over each defective image, half over the batch. Every class has a share in the gradient,
    where the maximum of `_union` leads it to one.
    """
    summed = logits.logsumexp(dim=1)  # [B, h, w]
    complete, defective = targets.outlined.amin(dim=1), targets.labels.amax(dim=1)  # [B]
    of_images = functional.binary_cross_entropy_with_logits(_pooled(summed[:, None], pool_cells)[:, 0], defective)
    of_cells = functional.binary_cross_entropy_with_logits(summed, targets.any_fraction, reduction="none").mean((1, 2))
    p, truth, counted = torch.sigmoid(summed), targets.any_fraction, defective * complete
    by_image = ((1 - _soft_overlap(p, truth)) * counted).sum() / counted.sum().clamp(min=1)
    whole = complete[:, None, None]
    over_batch = (1 - _soft_overlap((p * whole).flatten(1), (truth * whole).flatten(1))) * counted.amax()  # [B, h * w]
    return of_images + (of_cells * complete).mean() + (by_image + over_batch) / 2


def _naming(logits: Tensor, targets: Targets) -> Tensor:
    """Cross-entropy of the softmax over the classes: mean over an image's defect, then over the defective images."""
    shares = targets.fractions / targets.fractions.sum(dim=1, keepdim=True).clamp(min=1e-6)
    losses = -(shares * functional.log_softmax(logits, dim=1)).sum(dim=1)  # [B, h, w]
    area = targets.any_fraction.sum(dim=(1, 2))  # [B]
    counted = (area > 0) * targets.labels.amax(dim=1) * targets.outlined.amin(dim=1)
    by_image = (losses * targets.any_fraction).sum(dim=(1, 2)) / area.clamp(min=1e-6)
    return (by_image * counted).sum() / counted.sum().clamp(min=1)


def _pooled(logits: Tensor, cells: int) -> Tensor:
    """Mean of the `cells` largest logits of each class, [B, C], of logits [B, C, h, w]; the maximum for 1."""
    if cells == 1:
        return image_scores(logits)
    flat = logits.flatten(2)
    return flat.topk(min(cells, flat.shape[2]), dim=2).values.mean(dim=2)


def _soft_overlap(probabilities: Tensor, fractions: Tensor) -> Tensor:
    """Soft Dice over the last two dimensions, with smoothing 1, so that two empty masks give 1."""
    both = (probabilities * fractions).sum(dim=(-2, -1))
    return (2 * both + 1) / (probabilities.sum(dim=(-2, -1)) + fractions.sum(dim=(-2, -1)) + 1)


def _weights(values: Sequence[float], classes: int, device: torch.device) -> Tensor:
    return torch.tensor(values or [1.0] * classes, dtype=torch.float32, device=device)
