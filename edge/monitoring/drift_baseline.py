"""Baseline of drift monitoring: statistics of the first parts that a bundle inspects, stored beside the records."""

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bundle import FrozenModel, Manifest, first_problem
from bundle.files import write_whole
from edge.errors import DriftError
from edge.monitoring.drift_signals import REJECTS, Signals

EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Points of a score's cumulative distribution; denser at the low scores of good parts."""


FAR_LEVELS = 30.0
"""Distance in grey levels of a picture's brightness from those of all training pictures that is an alarm at once."""


@dataclass(frozen=True)
class TrainingBrightness:
    """Range of the brightness of the pictures that trained a bundle, in grey levels."""

    lowest: float
    highest: float

    def problem(self, brightness: float) -> str | None:
        """Return the problem of a picture of this brightness; None within the range of the training pictures.

        Nearly black or white pictures are far at a smaller distance: halfway to 0 or 255.
        """
        low = max(self.lowest - FAR_LEVELS, self.lowest / 2)
        high = min(self.highest + FAR_LEVELS, (self.highest + 255) / 2)
        if low <= brightness <= high:
            return None
        return (
            f"found a picture of brightness {brightness:.0f}, expected {low:.0f} to {high:.0f} as in the bundle's "
            "training; check exposure and bit depth of the camera, or train with such pictures"
        )


def training_brightness(manifest: Manifest) -> TrainingBrightness | None:
    """The range that training stored in a bundle; None for a bundle that has none."""
    stored = manifest.made_from.metrics.get("train")
    found = stored.get("brightness") if isinstance(stored, dict) else None
    if not isinstance(found, list) or not all(isinstance(level, int | float) for level in found) or len(found) != 2:
        return None
    return TrainingBrightness(*found)


class SignalNorm(FrozenModel):
    """Mean and deviation of one signal."""

    mean: float
    deviation: float
    """Standard deviation from part to part."""


class ScoreDistribution(FrozenModel):
    """Cumulative distribution of one class's scores."""

    below: tuple[float, ...]
    """Share of the parts below each of the `EDGES`."""


class Baseline(FrozenModel):
    """Statistics of the first parts of one bundle on one line."""

    bundle_id: str
    parts: int
    values: dict[str, SignalNorm]
    scores: dict[str, ScoreDistribution]

    def fits(self, signals: Signals) -> bool:
        """True if cameras and classes of these signals are those of the baseline."""
        return self.values.keys() == signals.values.keys() and self.scores.keys() == signals.scores.keys()


class BaselineLearner:
    """Accumulates a baseline part by part, in constant memory."""

    def __init__(self) -> None:
        self.parts = 0
        self._sums: dict[str, tuple[float, float]] = {}  # mean, sum of squared differences from it
        self._below: dict[str, list[int]] = {}

    def add(self, signals: Signals) -> None:
        """Add one part; mean and deviation by Welford's update (Technometrics 4, 1962)."""
        self.parts += 1
        for name, value in signals.values.items():
            mean, squares = self._sums.get(name, (0.0, 0.0))
            moved = mean + (value - mean) / self.parts
            self._sums[name] = moved, squares + (value - mean) * (value - moved)
        for name, score in signals.scores.items():
            counts = self._below.get(name, [0] * len(EDGES))
            self._below[name] = [count + (score < edge) for count, edge in zip(counts, EDGES, strict=True)]

    def baseline(self, bundle_id: str) -> Baseline:
        """Return the baseline of the parts so far."""
        values = {name: self._norm(name, mean, squares) for name, (mean, squares) in self._sums.items()}
        scores = {
            name: ScoreDistribution(below=tuple(count / self.parts for count in counts))
            for name, counts in self._below.items()
        }
        return Baseline(bundle_id=bundle_id, parts=self.parts, values=values, scores=scores)

    def _norm(self, name: str, mean: float, squares: float) -> SignalNorm:
        """Mean and deviation; those of the rare rejects are computed with two rejects in four parts added.

        Agresti and Coull, "Approximate is better than exact for interval estimation of binomial proportions", The
        American Statistician 52, 1998.
        """
        if name == REJECTS:
            rate = (mean * self.parts + 2) / (self.parts + 4)
            return SignalNorm(mean=mean, deviation=math.sqrt(rate * (1 - rate)))
        return SignalNorm(mean=mean, deviation=math.sqrt(squares / self.parts))


def baseline_path(records: Path, bundle_id: str) -> Path:
    """Path of a bundle's baseline, beside the records."""
    return records.with_name(f"{records.stem}.baseline-{bundle_id[:12]}.json")


def read_baseline(path: Path) -> Baseline | None:
    """Read a baseline; None if the file does not exist. Raises DriftError if it is damaged."""
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DriftError(f"{path}: cannot be read ({error.strerror}); check the permissions") from None
    except ValidationError as error:
        raise DriftError(f"{path}: {first_problem(error)}; delete the file to learn a new baseline") from None


def store_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, whole or not at all; raises DriftError if the disk refuses it."""
    try:
        write_whole(path, baseline.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise DriftError(f"{path}: cannot be written ({error.strerror}); it will be learned again next time") from None
