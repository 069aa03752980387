"""Scheduled classification and segmentation loss, with a positive weight per class.

The first two terms are equations 1 and 2 of the paper. The Dice and union terms are additions, off in its recipe.
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
"""That of 33 pixels in 400x300; smaller defects weigh no more."""


@dataclass(frozen=True)
class Targets:
    """The truth of a batch at the network's pooled size."""

    labels: Tensor
    """float [B, C], 1 where the image has the class."""
    outlined: Tensor
    """float [B, C], 0 where it has the class but no outline: no mask loss there."""
    fractions: Tensor
    """float [B, C, h, w], the share of each cell's pixels that are defect."""
    any_fraction: Tensor
    """float [B, h, w], the same for the union of all classes."""


def targets(batch: Batch, size: tuple[int, int]) -> Targets:
    """The truth at the network's pooled size (h, w), which divides the frames': the share of defect in each cell."""
    kinds = range(batch.labels.shape[1])
    planes = [batch.bits[:, kind // 8] >> kind % 8 & 1 for kind in kinds]
    masks = torch.stack((*planes, batch.bits.amax(dim=1).clamp(max=1)), dim=1)  # [B, C + 1, H, W]
    fractions = _cell_means(masks, size)
    return Targets(batch.labels, batch.outlined, fractions[:, :-1], fractions[:, -1])


def _cell_means(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """The mean of each cell of masks uint8 [..., H, W]: float [..., h, w].

    Summed as whole numbers, which takes a quarter of the time of pooling them as floats.
    """
    rows, columns = masks.shape[-2] // size[0], masks.shape[-1] // size[1]
    of_rows = reduce(torch.add, [masks[..., row::rows, :] for row in range(rows)]).to(torch.int16)
    return reduce(torch.add, [of_rows[..., column::columns] for column in range(columns)]) / (rows * columns)


@dataclass(frozen=True)
class LossTerms:
    """The parts of the loss, before the schedule weighs them."""

    classification: Tensor
    """[C]"""
    segmentation: Tensor
    """[C]"""
    dice: Tensor
    """[]"""
    union: Tensor
    """[]"""


def schedule_weights(schedule: Schedule, epoch: int, epochs: int, share: float = 0.5) -> tuple[float, float]:
    """The weights of classification and segmentation in epoch `epoch` of `epochs`, counted from 0.

    "classification-first" is equations 1 and 2 read literally: segmentation grows with n / N.
    """
    grown = epoch / epochs
    if schedule == "constant":
        return share, 1 - share
    return (1 - grown, grown) if schedule == "classification-first" else (grown, 1 - grown)


class Loss:
    """The loss of one recipe for a list of classes."""

    def __init__(self, recipe: LossRecipe, classes: int, device: torch.device):
        self.recipe = recipe
        self.class_weights = _weights(recipe.class_weights, classes, device)  # [C]
        self.mask_weights = _weights(recipe.mask_weights, classes, device)  # [C]

    def terms(self, logits: Tensor, targets: Targets) -> LossTerms:
        """Each part of the loss of float32 logits [B, C, h, w]."""
        nothing = logits.new_zeros(())
        return LossTerms(
            classification=self._classification(logits, targets),
            segmentation=self._segmentation(logits, targets),
            dice=_dice(logits, targets) if self.recipe.dice else nothing,
            union=_union(logits, targets) if self.recipe.union else nothing,
        )

    def total(self, terms: LossTerms, epoch: int, epochs: int) -> Tensor:
        """The scheduled sum in epoch `epoch` of `epochs`; the extra terms go with segmentation."""
        classify, segment = self._weights(epoch, epochs)
        extra = self.recipe.dice * terms.dice + self.recipe.union * terms.union
        return classify * terms.classification.mean() + segment * (terms.segmentation.mean() + extra)

    def per_class(self, terms: LossTerms, epoch: int, epochs: int) -> Tensor:
        """The scheduled loss of each class, [C], without the terms that belong to none."""
        classify, segment = self._weights(epoch, epochs)
        return classify * terms.classification + segment * terms.segmentation

    def _weights(self, epoch: int, epochs: int) -> tuple[float, float]:
        return schedule_weights(self.recipe.schedule, epoch, epochs, self.recipe.share)

    def _classification(self, logits: Tensor, targets: Targets) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            image_scores(logits), targets.labels, pos_weight=self.class_weights, reduction="none"
        ).mean(dim=0)

    def _segmentation(self, logits: Tensor, targets: Targets) -> Tensor:
        """Cross-entropy over the pixels of the full size, computed at the pooled size.

        Enlarging to the nearest repeats a logit over its cell, and cross-entropy is linear in the truth, so the mean
        over the cell's pixels is the cross-entropy against the share of them that are defect: exact.
        """
        weights, mean = self._mask_weights(targets)
        losses = functional.binary_cross_entropy_with_logits(
            logits, targets.fractions, pos_weight=weights, reduction="none"
        ).mean(dim=(2, 3))  # [B, C]
        return (losses / mean * targets.outlined).mean(dim=0)

    def _mask_weights(self, targets: Targets) -> tuple[Tensor, Tensor]:
        """The weight of defect cells, [1 or B, C, 1, 1], with what the pair's loss is divided by, [1 or B, C].

        With area weights a defect that covers the share s of its image weighs the root of (1 - s) / s, so that a
        blowhole of 150 pixels is a thirtieth of its mask's loss instead of a thousandth; the weighted mean keeps a
        small defect's loss on the scale of a large one's.
        """
        weights = self.mask_weights.view(1, -1, 1, 1)
        if not self.recipe.area_weights:
            return weights, torch.ones_like(weights[..., 0, 0])
        # an image that is all defect would have the weight 0, and its loss be divided by 0
        share = targets.fractions.mean(dim=(2, 3), keepdim=True).clamp(max=1 - 1e-6)  # [B, C, 1, 1]
        root = ((1 - share) / share.clamp(min=1e-6)).sqrt().clamp(max=LARGEST_AREA_WEIGHT)
        weights = torch.where(share > 0, root, weights)
        return weights, (1 + (weights - 1) * share)[..., 0, 0]


def _dice(logits: Tensor, targets: Targets) -> Tensor:
    """One minus the soft Dice overlap, mean over the outlined positives (Milletari et al., V-Net, 2016)."""
    overlap = _soft_overlap(torch.sigmoid(logits), targets.fractions)  # [B, C]
    counted = targets.labels * targets.outlined
    return ((1 - overlap) * counted).sum() / counted.sum().clamp(min=1)


def _union(logits: Tensor, targets: Targets) -> Tensor:
    """Cross-entropy plus Dice of the largest channel against the union of all classes: found, whatever its name."""
    largest = logits.amax(dim=1)  # [B, h, w]
    complete = targets.outlined.amin(dim=1)  # [B]
    entropy = functional.binary_cross_entropy_with_logits(largest, targets.any_fraction, reduction="none").mean((1, 2))
    overlap = _soft_overlap(torch.sigmoid(largest), targets.any_fraction)  # [B]
    defective = targets.labels.amax(dim=1) * complete
    return (entropy * complete).mean() + ((1 - overlap) * defective).sum() / defective.sum().clamp(min=1)


def _soft_overlap(probabilities: Tensor, fractions: Tensor) -> Tensor:
    """Soft Dice over the last two dimensions; one cell is added to both sides, so that empty on empty is 1."""
    both = (probabilities * fractions).sum(dim=(-2, -1))
    return (2 * both + 1) / (probabilities.sum(dim=(-2, -1)) + fractions.sum(dim=(-2, -1)) + 1)


def _weights(values: Sequence[float], classes: int, device: torch.device) -> Tensor:
    return torch.tensor(values or [1.0] * classes, dtype=torch.float32, device=device)
