"""Differences between the outputs of two networks on the same frames."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import FrozenModel, Geometry, InputSpec, Threshold, Tolerance, decide
from train.evaluate.outputs import Outputs


@dataclass(frozen=True)
class OutputComparison:
    """Differences of the second network's outputs from the first's."""

    images: int
    largest_score_difference: float
    largest_mask_difference: int
    """In levels of 255, at one cell."""
    mean_mask_difference: float
    """In levels of 255, over all cells."""
    changed_verdicts: tuple[int, ...]
    """Indices of the images on which the found classes differ."""
    changed_beyond_tolerance: tuple[int, ...]
    """Those among them where no score lies within the tolerance of its threshold."""

    def within(self, tolerance: Tolerance) -> bool:
        """Whether every output agrees within the tolerance."""
        return (
            self.largest_score_difference <= tolerance.score
            and self.largest_mask_difference <= tolerance.mask
            and not self.changed_beyond_tolerance
        )

    def to_json(self) -> dict[str, Any]:
        """JSON form for a manifest or report."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def compare_outputs(
    before: Outputs, after: Outputs, thresholds: Mapping[str, Threshold], spec: InputSpec, tolerance: Tolerance
) -> OutputComparison:
    """Compare two networks' outputs for the same images, in the same order."""
    limits = np.array([threshold.score for threshold in thresholds.values()])
    near = (np.abs(before.scores - limits) <= tolerance.score).any(axis=1)  # [N]
    pairs = (found_classes(outputs, thresholds, spec) for outputs in (before, after))
    changed = np.flatnonzero((next(pairs) != next(pairs)).any(axis=1))
    gaps = np.abs(before.masks.astype(np.int16) - after.masks.astype(np.int16))
    return OutputComparison(
        images=len(before.scores),
        largest_score_difference=float(np.abs(before.scores - after.scores).max()),
        largest_mask_difference=int(gaps.max()),
        mean_mask_difference=float(gaps.mean()),
        changed_verdicts=tuple(changed.tolist()),
        changed_beyond_tolerance=tuple(index for index in changed.tolist() if not near[index]),
    )


def found_classes(outputs: Outputs, thresholds: Mapping[str, Threshold], spec: InputSpec) -> NDArray[np.bool_]:
    """Classes found by the decision, bool [N, C]."""
    geometry = Geometry.of(spec, spec.height, spec.width)
    found = np.zeros(outputs.scores.shape, np.bool_)
    for row, scores, masks in zip(found, outputs.scores, outputs.masks, strict=True):
        for defect in decide(scores, masks, thresholds, geometry).defects:
            row[defect.class_index] = True
    return found


class ChangedVerdict(FrozenModel):
    """An image on which two networks find different classes."""

    image: int
    """Index of the image."""
    truth: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


def changed_verdicts(
    before: NDArray[np.bool_], after: NDArray[np.bool_], truth: NDArray[np.bool_], classes: Sequence[str]
) -> tuple[ChangedVerdict, ...]:
    """Images whose found classes differ; all three arrays are bool [N, C]."""

    def names(row: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(name for name, has in zip(classes, row, strict=True) if has)

    return tuple(
        ChangedVerdict(image=image, truth=names(truth[image]), before=names(before[image]), after=names(after[image]))
        for image in np.flatnonzero((before != after).any(axis=1)).tolist()
    )
