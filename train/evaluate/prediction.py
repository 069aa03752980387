"""Prediction of one image compared with its ground truth."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle import Geometry, Threshold, decide
from bundle.outlines import enlarged

NEVER = 2.0
"""More than any two scores differ by."""


@dataclass(frozen=True)
class Prediction:
    """One image: scores, decision and pixel counts, per class in channel order.

    Pixels are counted at the network's input size.
    """

    labels: NDArray[np.bool_]
    """[C] ground truth."""
    outlined: NDArray[np.bool_]
    """[C] False if the image has the class but an empty mask; such pairs are left out of pixel metrics."""
    scores: NDArray[np.float32]
    """[C] probabilities."""
    found: NDArray[np.bool_]
    """[C] classes found by the decision."""
    intersection: NDArray[np.int64]
    """[C] pixels both true and predicted."""
    union: NDArray[np.int64]
    """[C] pixels true or predicted."""
    truth_area: NDArray[np.int64]
    """[C] pixels true."""
    any_intersection: int
    """Pixels both true and predicted, of any class."""
    any_union: int
    """Pixels true or predicted, of any class."""
    name: str = ""
    """File name of the image, where it is known."""
    image: str = ""
    """The sha256 of its file, where it is known."""
    part: str = ""
    """Name of the physical part it shows, where it is known."""
    lacking: float | None = None
    """By how much all score thresholds would have to be lower for a class to be found: 0 where one is, `NEVER` where no
    class has a blob of its smallest area; None in files of an earlier version."""


def compare(
    scores: NDArray[np.float32],
    masks: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    labels: NDArray[np.bool_],
    thresholds: Mapping[str, Threshold],
) -> Prediction:
    """Compare the outputs of a network or engine for one image with the ground truth.

    scores float32 [C]; masks uint8 [C, h, w]; truth bool [C, H, W] at the network's input size; labels bool [C].
    A pixel is predicted if the mask, upsampled to the nearest, reaches the class's level and `bundle.decide` finds the
    class.
    """
    height, width = truth.shape[1:]
    geometry = Geometry(height, width, 0, 0, width, height)
    defects = decide(scores, masks, thresholds, geometry).defects
    found = np.isin(np.arange(len(labels)), [defect.class_index for defect in defects])
    predicted = np.zeros_like(truth)
    for index, threshold in enumerate(thresholds.values()):
        if found[index]:
            predicted[index] = enlarged(masks[index] >= threshold.level, height, width)
    truth_area = _area(truth)
    intersection = _area(truth & predicted)
    any_truth, any_predicted = truth.any(axis=0), predicted.any(axis=0)
    return Prediction(
        labels=labels,
        outlined=~(labels & (truth_area == 0)),
        scores=scores,
        found=found,
        intersection=intersection,
        union=truth_area + _area(predicted) - intersection,
        truth_area=truth_area,
        any_intersection=int(np.count_nonzero(any_truth & any_predicted)),
        any_union=int(np.count_nonzero(any_truth | any_predicted)),
        lacking=0.0 if found.any() else _lacking(scores, masks, thresholds, geometry),
    )


def _lacking(
    scores: NDArray[np.float32], masks: NDArray[np.uint8], thresholds: Mapping[str, Threshold], geometry: Geometry
) -> float:
    """See `Prediction.lacking`, of an image in which no class is found."""
    at_any_score = {name: limit.model_copy(update={"score": 0.0}) for name, limit in thresholds.items()}
    limits = [limit.score for limit in thresholds.values()]
    near = decide(scores, masks, at_any_score, geometry).defects
    return min((limits[one.class_index] - float(scores[one.class_index]) for one in near), default=NEVER)


def _area(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)
