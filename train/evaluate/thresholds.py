"""Choice of the thresholds of each class: by a recipe in training, for a stated error rate in an existing bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit  # type: ignore[import-untyped]

from bundle import Geometry, InputSpec, Threshold, decide
from bundle.outlines import enlarged
from train.data.image_set import ImageSet
from train.errors import ThresholdError
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import Outputs
from train.evaluate.part_metrics import group, worst
from train.recipe import ThresholdRecipe

Scores = NDArray[np.float32]

_MIDDLE, _LOW = 0.5, 0.25
"""Position of the threshold in the gap between two scores: by "f1", and by "against-good"."""

_EDGE = 1e-7
"""Scores are float32: closer than this to 0 or 1, log-odds are meaningless."""


@dataclass(frozen=True)
class Goal:
    """Largest allowed rate of one kind of error."""

    what: Literal["escapes", "false rejects"]
    share: float
    """Of the defective images (escapes) or the good ones (false rejects), 0 to 1."""


def choose_thresholds(
    outputs: Outputs, images: ImageSet, classes: Sequence[str], recipe: ThresholdRecipe
) -> dict[str, Threshold]:
    """One threshold per class by a recipe: the mask level by IoU, then the score by `recipe.choose`.

    "f1": best F1 of the class over all images, middle of the gap; best for class names.
    "against-good": best F1 of the class over its own and the good images, low in the gap. A defect of another class
    found under this name costs nothing, since the part is rejected anyway; an escape costs more than a false reject.
    "max-escapes": the highest score that misses at most the share `limit` of the class's images.
    "max-false-rejects": the lowest scores that reject at most the share `limit` of the good images, over all classes.
    "fixed": the recipe's score.
    With "f1" and "against-good" the smallest area is chosen as well, from the recipe's candidates; ties: the least.
    By part (`recipe.unit`), the score of a part is the largest of its pictures.
    With `recipe.shared` all of that is chosen once, as if all classes were one, defect or not; with `recipe.shrinkage`
    the thresholds of classes with few parts come near those.
    """
    kinds = range(len(classes))
    common = _chosen(outputs, images, [list(kinds)], recipe) if recipe.shared or recipe.shrinks else {}
    own = {} if recipe.shared else _chosen(outputs, images, [[kind] for kind in kinds], recipe)
    if own and common:
        parts = _parts(images)
        weights = parts / (parts + recipe.shrinkage)
        own = {kind: _between(own[kind], common[kind], float(weights[kind])) for kind in kinds}
    return {name: (own or common)[kind] for kind, name in enumerate(classes)}


def _chosen(
    outputs: Outputs, images: ImageSet, groups: Sequence[list[int]], recipe: ThresholdRecipe
) -> dict[int, Threshold]:
    """The threshold of each class by its number, the same for all of a group."""
    levels = _levels(outputs.masks, images, recipe, groups)
    numbers = _cases(images, recipe)
    if recipe.choose in ("f1", "against-good"):
        chosen = _by_f1(outputs, images, levels, recipe, numbers, groups)
    else:
        scores = worst(_joined(outputs.scores, groups), numbers)
        labels = worst(_joined(images.labels, groups), numbers)
        chosen = [(score, recipe.min_area_px) for score in _chosen_scores(scores, labels, recipe)]
    return {
        kind: Threshold(score=float(np.clip(score, 0, 1)), level=levels[kind], min_area_px=area)
        for together, (score, area) in zip(groups, chosen, strict=True)
        for kind in together
    }


def _parts(images: ImageSet) -> NDArray[np.int64]:
    """Number of defective parts of each class, int [C]; of images where parts have no names."""
    numbers = group(images.parts, images.labels) if images.parts else np.arange(len(images))
    counts: NDArray[np.int64] = worst(images.labels, numbers).sum(axis=0)
    return counts


def _between(own: Threshold, common: Threshold, weight: float) -> Threshold:
    """The mean of both scores in log-odds, own with `weight` of 0 to 1, on the masks of the heavier one."""
    if weight == 0:
        return common
    scores = np.array([own.score, common.score])
    score = expit(np.average(_log_odds(scores), weights=[weight, 1 - weight]))
    return (own if weight >= 0.5 else common).model_copy(update={"score": float(score)})


def shift_thresholds(
    outputs: Outputs,
    defective: NDArray[np.bool_],
    thresholds: Mapping[str, Threshold],
    spec: InputSpec,
    goal: Goal,
    numbers: NDArray[np.int64] | None = None,
) -> dict[str, Threshold]:
    """Shift all score thresholds by the same log-odds, so that these images meet the goal.

    One number is chosen, so a few dozen images suffice, and the balance between the classes remains. Of all shifts that
    meet the goal: the one with the fewest errors of the other kind, in the middle of its interval.

    defective: bool [N], the truth. numbers: the part of each image, int [N], to count parts by their worst picture;
    None counts images.
    Raises ThresholdError if there are too few images, or if no score threshold meets the goal.
    """
    margins = score_margins(outputs, thresholds, spec)
    if numbers is not None:
        margins, defective = worst(margins, numbers), worst(defective, numbers)
    sides = np.sort(margins[defective]), np.sort(-margins[~defective])
    if goal.what == "escapes":
        return _shifted(thresholds, _shift(sides[0], -sides[1], goal, "defective"))
    return _shifted(thresholds, -_shift(sides[1], -sides[0], goal, "good"))


def check_positives(
    labels: NDArray[np.bool_], classes: Sequence[str], recipe: ThresholdRecipe, part: str = "validation part"
) -> None:
    """Raise ThresholdError if a class has no image in `part`, which choosing its threshold needs.

    With `recipe.shared` or `recipe.shrinkage` an image of any class is enough.
    """
    missing = [name for name, count in zip(classes, labels.sum(axis=0), strict=True) if count == 0]
    enough = recipe.choose == "fixed" or ((recipe.shared or recipe.shrinks) and len(missing) < len(classes))
    if missing and not enough:
        common = "thresholds.shared=true or " if len(missing) < len(classes) else ""
        raise ThresholdError(
            f"{part}: found no image with {', '.join(missing)}, expected at least one of each class to choose "
            f"its threshold; use another --seed or --split, or --set {common}thresholds.choose=fixed"
        )


def objection_to(metrics: Metrics) -> str | None:
    """Why thresholds with these metrics, on the images they were chosen on, are of no use at a line; or None."""
    good, defective = metrics.false_rejects, metrics.escapes
    if not good.total:
        return "found no good image, expected some: the false rejects are not known"
    if good.count == good.total:
        return f"found {good.counts} good images rejected, expected some to be accepted"
    if defective.count == defective.total:
        return f"found {defective.counts} defective images accepted, expected some to be rejected"
    return None


def best_f1_threshold(scores: Scores, labels: NDArray[np.bool_], position: float = _MIDDLE) -> tuple[float, float]:
    """The threshold (found if score >= threshold) of the best F1 over these scores, and that F1.

    All thresholds in a gap between two neighbouring scores give the same F1; of several best gaps the widest is taken.
    position: of the threshold in its gap, 0 at the lower and 1 at the upper end.
    """
    order = np.argsort(scores)[::-1]
    ranked, hits = scores[order].astype(np.float64), np.cumsum(labels[order])
    below = np.append(ranked[1:], 0.0)
    gap = ranked - below
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + labels.sum())  # if all down to this rank are found
    f1 = np.where(gap > 0, np.round(f1, 12), -1.0)  # no threshold lies between equal scores
    best = int(np.lexsort((gap, f1))[-1])
    return float(np.float32(below[best] + position * gap[best])), float(f1[best])


def _size(images: ImageSet) -> tuple[int, int]:
    return images.images.shape[2], images.images.shape[3]


def _cases(images: ImageSet, recipe: ThresholdRecipe) -> NDArray[np.int64]:
    """Index of the counted case of each image, int [N]: the image itself, or its part."""
    if recipe.unit == "picture":
        return np.arange(len(images))
    if not images.parts:
        raise ThresholdError('thresholds.unit = "part": found images without the names of their parts; use "picture"')
    return group(images.parts, images.labels)


def _joined(of_classes: NDArray[Any], groups: Sequence[Sequence[int]]) -> NDArray[Any]:
    """The largest of each group of classes: [N, C] to [N, G]."""
    return np.stack([of_classes[:, together].max(axis=1) for together in groups], axis=1)


def _by_f1(
    outputs: Outputs,
    images: ImageSet,
    levels: Sequence[int],
    recipe: ThresholdRecipe,
    numbers: NDArray[np.int64],
    groups: Sequence[Sequence[int]],
) -> list[tuple[float, float]]:
    """Score threshold and smallest area of each group of classes; numbers: the case of each image."""
    labels = worst(_joined(images.labels, groups), numbers)
    good = ~labels.any(axis=1)
    areas = recipe.areas_px or (recipe.min_area_px,)
    largest = largest_areas(outputs, _size(images), levels) if any(areas) else np.zeros_like(outputs.scores)
    chosen = []
    for index, label in enumerate(labels.T):
        rows = label | good if recipe.choose == "against-good" else np.ones_like(good)
        position = _LOW if recipe.choose == "against-good" else _MIDDLE
        tried = []
        for area in sorted(areas):
            eligible = np.where(largest >= area, outputs.scores, np.float32(0))
            scores = worst(_joined(eligible, groups)[:, index], numbers)
            threshold, f1 = best_f1_threshold(scores[rows], label[rows], position)
            tried.append((f1, threshold, area))
        f1, threshold, area = max(tried, key=lambda one: one[0])  # the first of equals
        chosen.append((threshold if f1 >= recipe.least_f1 else recipe.score, area))
    return chosen


def largest_areas(outputs: Outputs, size: tuple[int, int], levels: Sequence[int]) -> Scores:
    """Area of each class's largest blob in each image at the class's mask level, [N, C], by `bundle.decide`.

    size: height and width of the network's input, in whose pixels areas are measured.
    """
    height, width = size
    geometry = Geometry(height, width, 0, 0, width, height)
    any_blob = {str(index): Threshold(score=0, level=level, min_area_px=1) for index, level in enumerate(levels)}
    areas = np.zeros_like(outputs.scores)
    for row, scores, masks in zip(areas, outputs.scores, outputs.masks, strict=True):
        for defect in decide(scores, masks, any_blob, geometry).defects:
            row[defect.class_index] = max(row[defect.class_index], defect.area_px)
    return areas


def _shift(own: NDArray[np.float64], others: NDArray[np.float64], goal: Goal, kind: str) -> float:
    """The largest bound that all but the allowed number of `own` reach, halfway down to the next of `others`."""
    allowed = int(goal.share * len(own) + 1e-9)
    if allowed >= len(own):
        raise ThresholdError(
            f"thresholds: found {len(own)} {kind} images, expected more than the {allowed} that may go wrong; "
            "add images or allow fewer"
        )
    bound = own[allowed]
    if bound == -np.inf:
        raise ThresholdError(
            f"thresholds: found {int(np.isneginf(own).sum())} of {len(own)} {kind} images without a blob of the "
            f"smallest area, expected at most {allowed}; no score threshold finds them: train again or allow more"
        )
    below = others[others < bound]
    if bound == np.inf:
        return float(below.max()) + 1 if len(below) else 0.0
    return float((bound + max(below.max(), bound - 2)) / 2) if len(below) else float(bound - 1)


def score_margins(outputs: Outputs, thresholds: Mapping[str, Threshold], spec: InputSpec) -> NDArray[np.float64]:
    """Largest distance of a class's score from its threshold in each image, in log-odds: float64 [N].

    Minus infinity if no class has a blob of its smallest area.
    """
    limits, smallest, levels = (
        [getattr(limit, key) for limit in thresholds.values()] for key in ("score", "min_area_px", "level")
    )
    areas = largest_areas(outputs, (spec.height, spec.width), levels) if any(smallest) else np.zeros((1, len(levels)))
    eligible = areas >= smallest
    above = _log_odds(outputs.scores.astype(np.float64)) - _log_odds(np.array(limits))
    margins: NDArray[np.float64] = np.where(eligible, above, -np.inf).max(axis=1)
    return margins


def _shifted(thresholds: Mapping[str, Threshold], shift: float) -> dict[str, Threshold]:
    scores = expit(_log_odds(np.array([limit.score for limit in thresholds.values()])) + shift)
    return {
        name: limit.model_copy(update={"score": float(score)})
        for (name, limit), score in zip(thresholds.items(), scores, strict=True)
    }


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = logit(np.clip(p, _EDGE, 1 - _EDGE))
    return found


def _chosen_scores(scores: Scores, labels: NDArray[np.bool_], recipe: ThresholdRecipe) -> list[float]:
    """One score threshold per column of scores [N, G] and labels, bool [N, G]."""
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

    All classes are allowed the same number of false alarms, the largest for which the limit holds over all classes.
    """
    ranked = -np.sort(-good, axis=0)  # descending
    thresholds = np.nextafter(ranked[0], np.float32(1))
    for allowed in range(1, len(good)):
        lower = np.nextafter(ranked[allowed], np.float32(1))
        if (good >= lower).any(axis=1).mean() > limit:
            break
        thresholds = lower
    return [float(value) for value in thresholds]


def _levels(
    masks: NDArray[np.uint8], images: ImageSet, recipe: ThresholdRecipe, groups: Sequence[list[int]]
) -> list[int]:
    """Mask level of each class: the one of the largest IoU of its group, pooled over the images that outline it."""
    drawn = images.labels & images.outlined
    levels = [0] * drawn.shape[1]
    for together in groups:
        level = _level(masks, images, np.flatnonzero(drawn[:, together].any(axis=1)), together, recipe.levels)
        for kind in together:
            levels[kind] = level
    return levels


def _level(
    masks: NDArray[np.uint8], images: ImageSet, drawn: NDArray[np.int64], kinds: list[int], levels: Sequence[int]
) -> int:
    """The level of the largest IoU pooled over the images `drawn`, for the union of these classes."""
    if len(levels) == 1 or not len(drawn):
        return min(levels, key=lambda level: abs(level - 128))
    return max(levels, key=lambda level: _pooled_iou(masks, images, drawn, kinds, level))


def _pooled_iou(
    masks: NDArray[np.uint8], images: ImageSet, drawn: NDArray[np.int64], kinds: list[int], level: int
) -> float:
    both = either = 0
    for image in drawn:
        truth = images.masks(image)[kinds].any(axis=0)
        predicted = enlarged(masks[image, kinds].max(axis=0) >= level, *truth.shape)
        both += int(np.count_nonzero(truth & predicted))
        either += int(np.count_nonzero(truth | predicted))
    return both / either
