"""What a calibration did and what it changed, as it stands in calibration.json."""

from bundle import FrozenModel
from export.evaluate.compare_outputs import ChangedVerdict
from export.evaluate.latency import RunningCost
from export.graph.fp16 import Around
from export.int8.activation_ranges import Method
from export.int8.mixed_precision import Step
from train.evaluate.metrics import Metrics


class MethodResult(FrozenModel):
    """One way to choose the ranges, with every layer in INT8, on frames of the calibration set."""

    method: Method
    mean_mask_difference: float
    """From the float network, in levels of 255 over all cells."""
    largest_score_difference: float
    changed_verdicts: int
    frames: int


class Layer(FrozenModel):
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


class CalibrationReport(FrozenModel):
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
    changed: tuple[ChangedVerdict, ...]
    cost_before: RunningCost
    cost_after: RunningCost
    software: dict[str, str]
