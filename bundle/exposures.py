"""How the exposures that one camera takes of a part are judged: each by itself, or together."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ExposureRule = Literal["worst", "mean-odds"]
"""Which score an exposure of a part has: "worst" its own, so that the worst exposure decides; "mean-odds" that of all
exposures together, see `mean_odds`. Exposures show the same view of a part; other cameras are always judged apart."""


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
