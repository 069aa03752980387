"""Decision: from scores and masks to defects and a verdict.

The only such code: training, export and the station all call `decide`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bundle.errors import FrameError
from bundle.frozen_model import FrozenModel
from bundle.preprocess import InputSpec

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the frame."""


ExposureRule = Literal["worst", "mean-odds"]
"""Which score an exposure of a part has: "worst" its own, so that the worst exposure decides; "mean-odds" that of all
exposures together, see `mean_odds`. Exposures show the same view of a part; other cameras are always judged apart."""


class Verdict(IntEnum):
    """Verdict on a part. The numbers are those on the wire and in the records; all but OK mean reject."""

    OK = 1
    NG = 2
    UNSURE = 3
    TIMEOUT = 4
    FAULT = 5


class Threshold(FrozenModel):
    """Thresholds of one class."""

    score: float = Field(default=0.5, ge=0, le=1, allow_inf_nan=False)
    """Smallest score (probability) of the class."""
    level: int = Field(default=128, ge=1, le=255)
    """Smallest mask level of a defect pixel."""
    min_area_px: float = Field(default=0.0, ge=0, le=8192 * 8192, allow_inf_nan=False)
    """Smallest area of a blob in pixels of the network's input; with 0 the score alone decides."""

    @property
    def words(self) -> str:
        """The thresholds for a reader, such as `score 0.257, level 128, area 8 px`."""
        return f"score {self.score:.3f}, level {self.level}, area {self.min_area_px:g} px"


@dataclass(frozen=True)
class Geometry:
    """Position of the network's input in the frame."""

    input_height: int
    input_width: int
    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, spec: InputSpec, frame_height: int, frame_width: int) -> "Geometry":
        """Geometry of the input of `spec` in a frame of this size, in pixels."""
        if spec.crop is None:
            return cls(spec.height, spec.width, 0, 0, frame_width, frame_height)
        crop = spec.crop
        return cls(spec.height, spec.width, crop.x, crop.y, crop.width, crop.height)


@dataclass(frozen=True)
class Defect:
    """A defect: one blob of one class."""

    class_index: int
    class_name: str
    score: float
    """The class's score over the whole frame, 0 to 1."""
    area_px: float
    """In pixels of the network's input; 0 if the score alone decided and no pixel reached the level."""
    box: Box
    """In pixels of the frame."""


@dataclass(frozen=True)
class Decision:
    """Verdict on one frame with its defects, sorted by falling score, then falling area."""

    verdict: Verdict
    defects: tuple[Defect, ...]


def decide(
    scores: NDArray[np.float32],
    masks: NDArray[np.uint8],
    thresholds: Mapping[str, Threshold],
    geometry: Geometry,
    unsure_margin: float = 0.0,
) -> Decision:
    """Decide on one frame.

    scores: float32 [C], probabilities; masks: uint8 [C, h, w], probability * 255 at the pooled size.
    thresholds: one per class, in channel order. A class is found if its score reaches its threshold and one of its
    blobs (8-connected, mask >= level) reaches its smallest area; with a smallest area of 0 the score alone suffices.
    unsure_margin: a class that is not found, but would be with a score threshold lower by this much, makes the
    verdict UNSURE.
    Raises FrameError for outputs of another shape, or scores that are not finite.
    """
    _check(scores, masks, thresholds)
    found = _defects(scores, masks, thresholds, geometry, margin=0.0)
    if found:
        return Decision(Verdict.NG, found)
    doubtful = _defects(scores, masks, thresholds, geometry, margin=unsure_margin) if unsure_margin else ()
    return Decision(Verdict.UNSURE if doubtful else Verdict.OK, doubtful)


def mean_odds(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability [C] of each class whose odds are the mean of those of the exposures, from scores [N, C].

    The odds p / (1 - p) of a class that one of N exposures alone shows are at least an Nth of that exposure's: N
    exposures cannot outvote a sure one, as they can with the mean of their log-odds. Where a score is no finite number
    the result is none either.
    """
    of_defect = np.clip(scores.astype(np.float64), 0, 1)
    with np.errstate(divide="ignore"):  # a score of 1 has infinite odds, and their mean is 1 again
        of_good = 1 / np.mean(1 / (1 - of_defect), axis=0)  # the harmonic mean of 1 - p
    return np.where(np.isfinite(scores).all(axis=0), 1 - of_good, np.nan).astype(np.float32)


def _check(scores: NDArray[np.float32], masks: NDArray[np.uint8], thresholds: Mapping[str, Threshold]) -> None:
    classes = len(thresholds)
    if scores.shape != (classes,) or masks.ndim != 3 or masks.shape[0] != classes or masks.dtype != np.uint8:
        raise FrameError(
            f"outputs: found scores {scores.shape} with masks {masks.dtype} {masks.shape}, "
            f"expected [{classes}] with uint8 [{classes}, h, w]; the engine is not this bundle's"
        )
    if not all(map(isfinite, scores.tolist())):  # half the time of numpy for a few values
        raise FrameError(f"outputs: found scores {scores.tolist()}, expected finite numbers; the engine is faulty")


def _defects(
    scores: NDArray[np.float32],
    masks: NDArray[np.uint8],
    thresholds: Mapping[str, Threshold],
    geometry: Geometry,
    margin: float,
) -> tuple[Defect, ...]:
    defects: list[Defect] = []
    for index, (name, threshold) in enumerate(thresholds.items()):
        if scores[index] >= threshold.score - margin:
            score = float(scores[index])
            cells = _blobs(masks[index], threshold, geometry)
            defects += [Defect(index, name, score, area, frame_box(box, masks, geometry)) for area, box in cells]
    return tuple(sorted(defects, key=lambda defect: (-defect.score, -defect.area_px)))


def _blobs(mask: NDArray[np.uint8], threshold: Threshold, geometry: Geometry) -> Sequence[tuple[float, Box]]:
    """Areas in input pixels and boxes in mask cells of the blobs that reach the smallest area."""
    cell_area = geometry.input_height * geometry.input_width / mask.size
    binary = (mask >= threshold.level).view(np.uint8)
    left, top, width, height = cv2.boundingRect(binary)  # most masks are empty but for a few cells
    within = binary[top : top + height, left : left + width]
    stats = cv2.connectedComponentsWithStats(within, connectivity=8)[2][1:] if within.size else ()
    blobs = [
        (float(count * cell_area), (left + int(x), top + int(y), int(columns), int(rows)))
        for x, y, columns, rows, count in stats
        if count * cell_area >= threshold.min_area_px
    ]
    if not blobs and threshold.min_area_px == 0:
        row, column = np.unravel_index(int(mask.argmax()), mask.shape)
        return [(0.0, (int(column), int(row), 1, 1))]
    return blobs


def frame_box(box: Box, masks: NDArray[np.uint8], geometry: Geometry) -> Box:
    """Convert a box from mask cells to frame pixels, rounded outwards."""
    rows, columns = masks.shape[1:]
    x, y, width, height = box
    left = geometry.x + x * geometry.width // columns
    top = geometry.y + y * geometry.height // rows
    right = geometry.x + -(-(x + width) * geometry.width // columns)
    bottom = geometry.y + -(-(y + height) * geometry.height // rows)
    return left, top, right - left, bottom - top
