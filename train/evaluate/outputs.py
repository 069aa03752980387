"""Outputs of a network for a set of images, in the format of a bundle's engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bundle import ExposureRule, Threshold, mean_odds
from train.data.image_set import ImageSet
from train.errors import DataError
from train.evaluate.metrics import Metrics, measure
from train.evaluate.prediction import Prediction, compare


@dataclass(frozen=True)
class Outputs:
    """Scores and masks of a set of images, in its order."""

    scores: NDArray[np.float32]
    """[N, C] probabilities."""
    masks: NDArray[np.uint8]
    """[N, C, h, w] probability * 255 at the pooled size."""


def joined_outputs(sets: Sequence[Outputs]) -> Outputs:
    """All outputs of several sets."""
    scores, masks = zip(*((one.scores, one.masks) for one in sets), strict=True)
    return Outputs(np.concatenate(scores), np.concatenate(masks))


def judged_together(outputs: Outputs, images: ImageSet, rule: ExposureRule) -> Outputs:
    """Outputs with the scores that the exposures of a part have together by this rule; see `bundle.mean_odds`.

    Exposures are all pictures of a part, as at the line, whatever each is labelled. Raises DataError without the parts'
    names.
    """
    if rule == "worst":
        return outputs
    if not images.parts:
        raise DataError(f'thresholds.exposures = "{rule}": found images without the names of their parts; use "worst"')
    scores, parts = outputs.scores.copy(), np.array(images.parts)
    for part in dict.fromkeys(images.parts):
        scores[parts == part] = mean_odds(scores[parts == part])
    return replace(outputs, scores=scores)


def predictions(outputs: Outputs, images: ImageSet, thresholds: Mapping[str, Threshold]) -> list[Prediction]:
    """Predictions of all images by these thresholds, one per image, with their parts where the images have them."""
    parts = images.parts or ("",) * len(images)
    return [
        replace(compare(scores, masks, images.masks(index), images.labels[index], thresholds), part=part)
        for index, (scores, masks, part) in enumerate(zip(outputs.scores, outputs.masks, parts, strict=True))
    ]


def evaluate(
    outputs: Outputs, images: ImageSet, thresholds: Mapping[str, Threshold], classes: Sequence[str]
) -> Metrics:
    """Metrics of these outputs by these thresholds."""
    return measure(predictions(outputs, images, thresholds), classes)
