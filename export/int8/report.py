"""Report of a calibration, written to calibration.json."""

from bundle import FrozenModel
from export.choices import Around, Method
from export.evaluate.compare_outputs import ChangedVerdict
from export.evaluate.latency import RunningCost
from export.graph.qdq import WeightBits
from export.int8.mixed_precision import Step
from train.evaluate.metrics import Metrics


class MethodResult(FrozenModel):
    """Result of one method of choosing ranges, with every layer in INT8, on calibration frames."""

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
    """Reason for float; empty for an INT8 layer."""
    largest: float | None
    """Largest magnitude of its input on the calibration frames."""
    range: float | None
    """Magnitude of its input that becomes 127."""
    signal_to_noise_db: float
    """At its output, including the errors of all layers before it."""
    alone_mask_difference: float | None
    """Mean difference of the masks with this layer alone in INT8, where it was measured."""


class CalibrationReport(FrozenModel):
    """Everything about one calibration."""

    date: str
    """UTC, ISO 8601."""
    source: str
    source_id: str
    bundle_id: str | None
    """Id of the new bundle; None if the gate failed."""
    calibrated_on: str
    judged_on: str
    labelled: bool
    """Whether the gate's images have labels; if not, the float network's decisions are used as labels."""
    warnings: tuple[str, ...]
    around: Around
    weight_bits: WeightBits
    method: Method
    methods: tuple[MethodResult, ...]
    layers: tuple[Layer, ...]
    metric: str
    max_drop: float
    steps: tuple[Step, ...]
    before: Metrics
    after: Metrics
    rank_agreement: float | None
    """Of the scores; None unless the gate asks for it."""
    changed: tuple[ChangedVerdict, ...]
    cost_before: RunningCost
    cost_after: RunningCost
    software: dict[str, str]
