"""Linear fit of measurements with the standard error of its slope."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slope:
    """Of something per hour."""

    per_hour: float
    uncertainty: float
    """One standard error."""

    @property
    def rises(self) -> float:
        """Lower bound of the slope, at two standard errors."""
        return self.per_hour - 2 * self.uncertainty


def fit(times_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Fit by least squares; NaN for fewer than four values.

    Neighbouring samples are correlated, so the standard error uses the effective number n (1 - r) / (1 + r), with the
    lag-1 autocorrelation r of the residuals (Bartlett, 1946).
    """
    if len(times_s) < 4:
        return Slope(float("nan"), float("nan"))
    hours, y = np.asarray(times_s, float) / 3600, np.asarray(values, float)
    hours = hours - hours.mean()
    slope = float(hours @ y / (hours @ hours))
    residuals = y - y.mean() - slope * hours
    power = float(residuals @ residuals)
    r = max(0.0, float(residuals[1:] @ residuals[:-1]) / power) if power else 0.0
    effective = max(1.0, len(y) * (1 - r) / (1 + r) - 2)
    return Slope(slope, float(np.sqrt(power / effective / (hours @ hours))))
