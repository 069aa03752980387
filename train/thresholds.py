"""Thresholds per class, chosen on the validation part and nowhere else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle import Threshold
from train.errors import ThresholdError
from train.images import ImageSet
from train.outputs import Outputs
from train.predictions import enlarged
from train.recipe import ThresholdRecipe


def choose_thresholds(
    outputs: Outputs, images: ImageSet, classes: Sequence[str], recipe: ThresholdRecipe
) -> dict[str, Threshold]:
    """One threshold per class: the score first, then the mask level.

    "f1": the score threshold of the best F1 of the image class. Where a range of thresholds gives it, the middle of
    the widest gap between neighbouring scores, so that neither side sits on the edge. "fixed": the recipe's score.
    """
    return {
        name: Threshold(
            score=_score(outputs.scores[:, index], images.labels[:, index], recipe),
            level=_level(outputs.masks[:, index], images, index, recipe.levels),
            min_area_px=recipe.min_area_px,
        )
        for index, name in enumerate(classes)
    }


def check_positives(labels: NDArray[np.bool_], classes: Sequence[str], recipe: ThresholdRecipe) -> None:
    """Raise ThresholdError if a class has no image in the validation part, so that its threshold has no ground."""
    missing = [name for name, count in zip(classes, labels.sum(axis=0), strict=True) if count == 0]
    if missing and recipe.choose != "fixed":
        raise ThresholdError(
            f"validation part: found no image with {', '.join(missing)}, expected at least one of each class to choose "
            f"its threshold; use another --seed or --split, or --set thresholds.choose=fixed"
        )


def _score(scores: NDArray[np.float32], labels: NDArray[np.bool_], recipe: ThresholdRecipe) -> float:
    if recipe.choose == "fixed":
        return recipe.score
    return best_f1_threshold(scores, labels)


def best_f1_threshold(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> float:
    """The threshold (found where score >= threshold) of the best F1 over these scores, as a float32 value."""
    order = np.argsort(scores)[::-1]
    ranked, hits = scores[order].astype(np.float64), np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + labels.sum())  # if everything down to this rank is found
    below = np.append(ranked[1:], 0.0)
    gap = ranked - below
    gap[gap <= 0] = -1.0  # between equal scores lies no threshold
    candidates = np.where(gap > 0, f1, -1.0)
    best = int(np.lexsort((gap, np.round(candidates, 12)))[-1])
    return float(np.float32((ranked[best] + below[best]) / 2))


def _level(masks: NDArray[np.uint8], images: ImageSet, index: int, levels: Sequence[int]) -> int:
    """The level of the largest IoU pooled over the class's outlined validation images."""
    drawn = np.flatnonzero(images.labels[:, index] & images.outlined[:, index])
    if len(levels) == 1 or not len(drawn):
        return min(levels, key=lambda level: abs(level - 128))
    return max(levels, key=lambda level: _pooled_iou(masks, images, index, drawn, level))


def _pooled_iou(masks: NDArray[np.uint8], images: ImageSet, index: int, drawn: NDArray[np.int64], level: int) -> float:
    both = either = 0
    for image in drawn:
        truth = images.masks(image)[index]
        predicted = enlarged(masks[image] >= level, *truth.shape)
        both += int(np.count_nonzero(truth & predicted))
        either += int(np.count_nonzero(truth | predicted))
    return both / either
