"""Thresholds per class, chosen on the validation part and nowhere else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle import Geometry, Threshold, decide
from bundle.outlines import enlarged
from train.data.image_set import ImageSet
from train.errors import ThresholdError
from train.evaluate.outputs import Outputs
from train.recipe import ThresholdRecipe

Scores = NDArray[np.float32]

_MIDDLE, _LOW = 0.5, 0.25
"""Where in the gap between good parts and a class its threshold lies: by "f1", and "against-good"."""


def choose_thresholds(
    outputs: Outputs, images: ImageSet, classes: Sequence[str], recipe: ThresholdRecipe
) -> dict[str, Threshold]:
    """One threshold per class: the mask level by its overlap, then the score.

    "f1": the best F1 of the class over all images, in the middle of its gap: names classes best.
    "against-good": the best F1 of the class over its own and the good images, low in its gap: a defect of another
    class that is also found here costs nothing, for the part is rejected anyway, and an escape costs more than a
    false reject.
    "max-escapes": the highest score that misses at most `limit` of the class's images.
    "max-false-rejects": the lowest scores that reject at most `limit` of the good images, all classes together.
    "fixed": the recipe's score.
    Where F1 chooses, it chooses the smallest area too, from the recipe's; of areas that do as well, the least.
    """
    indices = range(len(classes))
    levels = [_level(outputs.masks[:, index], images, index, recipe.levels) for index in indices]
    if recipe.choose in ("f1", "against-good"):
        chosen = _by_f1(outputs, images, levels, recipe)
    else:
        chosen = [(score, recipe.min_area_px) for score in _chosen_scores(outputs.scores, images.labels, recipe)]
    return {
        name: Threshold(score=float(np.clip(score, 0, 1)), level=level, min_area_px=area)
        for name, level, (score, area) in zip(classes, levels, chosen, strict=True)
    }


def check_positives(
    labels: NDArray[np.bool_], classes: Sequence[str], recipe: ThresholdRecipe, part: str = "validation part"
) -> None:
    """Raise ThresholdError if a class has no image in `part`, so that its threshold has no ground."""
    missing = [name for name, count in zip(classes, labels.sum(axis=0), strict=True) if count == 0]
    if missing and recipe.choose != "fixed":
        raise ThresholdError(
            f"{part}: found no image with {', '.join(missing)}, expected at least one of each class to choose "
            f"its threshold; use another --seed or --split, or --set thresholds.choose=fixed"
        )


def best_f1_threshold(scores: Scores, labels: NDArray[np.bool_], position: float = _MIDDLE) -> tuple[float, float]:
    """The threshold (found where score >= threshold) of the best F1 over these scores, with that F1.

    A range of thresholds gives it: the gap between two neighbouring scores, the widest where several do as well. The
    threshold lies at `position` of that gap, 0 at its lower and 1 at its upper end.
    """
    order = np.argsort(scores)[::-1]
    ranked, hits = scores[order].astype(np.float64), np.cumsum(labels[order])
    below = np.append(ranked[1:], 0.0)
    gap = ranked - below
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + labels.sum())  # if everything down to this rank is found
    f1 = np.where(gap > 0, np.round(f1, 12), -1.0)  # between equal scores lies no threshold
    best = int(np.lexsort((gap, f1))[-1])
    return float(np.float32(below[best] + position * gap[best])), float(f1[best])


def _by_f1(
    outputs: Outputs, images: ImageSet, levels: Sequence[int], recipe: ThresholdRecipe
) -> list[tuple[float, float]]:
    """Score threshold and smallest area of each class."""
    labels = images.labels
    good = ~labels.any(axis=1)
    areas = recipe.areas_px or (recipe.min_area_px,)
    largest = largest_areas(outputs, images, levels) if any(areas) else np.zeros_like(outputs.scores)
    chosen = []
    for index, label in enumerate(labels.T):
        rows = label | good if recipe.choose == "against-good" else np.ones_like(good)
        position = _LOW if recipe.choose == "against-good" else _MIDDLE
        tried = []
        for area in sorted(areas):
            scores = np.where(largest[:, index] >= area, outputs.scores[:, index], np.float32(0))
            threshold, f1 = best_f1_threshold(scores[rows], label[rows], position)
            tried.append((f1, threshold, area))
        f1, threshold, area = max(tried, key=lambda one: one[0])  # the first of equals
        chosen.append((threshold if f1 >= recipe.least_f1 else recipe.score, area))
    return chosen


def largest_areas(outputs: Outputs, images: ImageSet, levels: Sequence[int]) -> Scores:
    """The area of each class's largest blob in each image at the class's mask level, [N, C] in input pixels.

    They are counted by the decision itself.
    """
    height, width = images.images.shape[2:]
    geometry = Geometry(height, width, 0, 0, width, height)
    any_blob = {str(index): Threshold(score=0, level=level, min_area_px=1) for index, level in enumerate(levels)}
    areas = np.zeros_like(outputs.scores)
    for row, scores, masks in zip(areas, outputs.scores, outputs.masks, strict=True):
        for defect in decide(scores, masks, any_blob, geometry).defects:
            row[defect.class_index] = max(row[defect.class_index], defect.area_px)
    return areas


def _chosen_scores(scores: Scores, labels: NDArray[np.bool_], recipe: ThresholdRecipe) -> list[float]:
    """One score threshold per class of scores [N, C]."""
    if recipe.choose == "max-escapes":
        return [_at_most_missed(score[label], recipe.limit) for score, label in zip(scores.T, labels.T, strict=True)]
    if recipe.choose == "max-false-rejects":
        return _at_most_rejected(scores[~labels.any(axis=1)], recipe.limit)
    return [recipe.score] * scores.shape[1]


def _at_most_missed(positives: Scores, limit: float) -> float:
    """The highest threshold that misses at most the share `limit` of these scores."""
    return float(np.sort(positives)[int(limit * len(positives))])


def _at_most_rejected(good: Scores, limit: float) -> list[float]:
    """The lowest thresholds, one per column of good images' scores [N, C], that reject at most the share `limit`.

    Every class is allowed as many false alarms as any other, as many as the limit on all of them together allows.
    """
    ranked = -np.sort(-good, axis=0)  # descending
    thresholds = np.nextafter(ranked[0], np.float32(1))
    for allowed in range(1, len(good)):
        lower = np.nextafter(ranked[allowed], np.float32(1))
        if (good >= lower).any(axis=1).mean() > limit:
            break
        thresholds = lower
    return [float(value) for value in thresholds]


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
