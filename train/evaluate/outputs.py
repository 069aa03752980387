"""Outputs of a network for a set of images, in the format of a bundle's engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle import Threshold
from train.data.image_set import ImageSet
from train.evaluate.metrics import Metrics, measure
from train.evaluate.prediction import Prediction, compare


@dataclass(frozen=True)
class Outputs:
    """Scores and masks of a set of images, in its order."""

    scores: NDArray[np.float32]
    """[N, C] probabilities."""
    masks: NDArray[np.uint8]
    """[N, C, h, w] probability * 255 at the pooled size."""


def predictions(outputs: Outputs, images: ImageSet, thresholds: Mapping[str, Threshold]) -> list[Prediction]:
    """Predictions of all images by these thresholds, one per image."""
    return [
        compare(scores, masks, images.masks(index), images.labels[index], thresholds)
        for index, (scores, masks) in enumerate(zip(outputs.scores, outputs.masks, strict=True))
    ]


def evaluate(
    outputs: Outputs, images: ImageSet, thresholds: Mapping[str, Threshold], classes: Sequence[str]
) -> Metrics:
    """Metrics of these outputs by these thresholds."""
    return measure(predictions(outputs, images, thresholds), classes)
