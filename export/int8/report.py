"""What a calibration did and what it changed, as it stands in calibration.json."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from export.graph.fp16 import Around
from export.int8.activation_ranges import Method
from export.int8.mixed_precision import Step
from train.evaluate.metrics import Metrics


class Record(BaseModel):
    """A frozen table of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MethodResult(Record):
    """One way to choose the ranges, with every layer in INT8, on frames of the calibration set."""

    method: Method
    mean_mask_difference: float
    """From the float network, in levels of 255 over all cells."""
    largest_score_difference: float
    changed_verdicts: int
    frames: int


class Layer(Record):
    """One convolution."""

    name: str
    quantised: bool
    kept_because: str
    """Why it stays in float; empty where it does not."""
    largest: float | None
    """The largest magnitude of its input on the calibration frames."""
    range: float | None
    """The magnitude of its input that becomes 127."""
    signal_to_noise_db: float
    """Of its output, with the errors of all layers before it."""
    alone_mask_difference: float | None
    """Mean difference of the masks with only this layer in INT8, where that was measured."""


class Change(Record):
    """An image of which the two networks say other classes."""

    image: int
    """Its place among the images judged on."""
    truth: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


class Cost(Record):
    """What a bundle takes on this machine."""

    model_bytes: int
    milliseconds: float
    """Median per frame on this machine's CPU; a GPU differs, so measure there with `edge-export engine`."""


class CalibrationReport(Record):
    """Everything about one calibration."""

    date: str
    """UTC, ISO 8601."""
    source: str
    source_id: str
    bundle_id: str | None
    """The new bundle; None where the gate let none through."""
    calibrated_on: str
    judged_on: str
    labelled: bool
    """Whether people labelled the images judged on; if not, the float network's own decisions stand for the truth."""
    warnings: tuple[str, ...]
    around: Around
    method: Method
    methods: tuple[MethodResult, ...]
    layers: tuple[Layer, ...]
    metric: str
    max_drop: float
    steps: tuple[Step, ...]
    before: Metrics
    after: Metrics
    changed: tuple[Change, ...]
    cost_before: Cost
    cost_after: Cost
    software: dict[str, str]


def changes(
    before: NDArray[np.bool_], after: NDArray[np.bool_], truth: NDArray[np.bool_], classes: Sequence[str]
) -> tuple[Change, ...]:
    """The images whose found classes differ; all three bool [N, C]."""

    def names(row: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(name for name, has in zip(classes, row, strict=True) if has)

    return tuple(
        Change(image=image, truth=names(truth[image]), before=names(before[image]), after=names(after[image]))
        for image in np.flatnonzero((before != after).any(axis=1)).tolist()
    )
