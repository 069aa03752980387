"""Exponent of a power law through measured costs."""

from collections.abc import Sequence

import numpy as np

from bundle import FrozenModel


class Cost(FrozenModel):
    """Cost of one step at one size."""

    size: int
    processor_ms: float
    """Of all threads of the step's process and its children."""
    memory_mib: float
    """Peak resident memory above that before the step."""


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Slope of log cost over log size by least squares: 1 is linear, 0 is no growth; None for costs of zero."""
    if min(costs) <= 0:
        return None
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
