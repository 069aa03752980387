"""Thresholds for a stated rate of escapes or false rejects.

All classes' score thresholds move together, by the same amount in log-odds: one number is chosen from the images, so a
few dozen of them suffice, and the classes keep the balance that training gave them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bundle import InputSpec, Threshold
from export.errors import ThresholdsError
from export.evaluate.compare_outputs import found_classes
from train.evaluate.outputs import Outputs

_EDGE = 1e-7
"""Scores are float32; beyond this from 0 or 1 their log-odds say nothing."""


@dataclass(frozen=True)
class Goal:
    """What may go wrong at most."""

    what: Literal["escapes", "false rejects"]
    share: float
    """Of the defective parts, or of the good ones; 0 to 1."""


def goal_of(max_escapes: float | None, max_false_rejects: float | None) -> Goal:
    """The one goal that was asked for. Raises ThresholdsError for none or both."""
    if max_escapes is not None and max_false_rejects is None:
        return Goal("escapes", max_escapes)
    if max_false_rejects is not None and max_escapes is None:
        return Goal("false rejects", max_false_rejects)
    raise ThresholdsError("thresholds: found none or both of --max-escapes and --max-false-rejects, expected one")


def choose_thresholds(
    outputs: Outputs, defective: NDArray[np.bool_], thresholds: Mapping[str, Threshold], spec: InputSpec, goal: Goal
) -> dict[str, Threshold]:
    """Fulfil the goal on these images, with the fewest mistakes of the other kind, in the middle of the leeway.

    defective: bool [N], the truth.
    Raises ThresholdsError where the images cannot tell, or no score threshold fulfils the goal.
    """
    margins = _margins(outputs, thresholds, spec)
    sides = np.sort(margins[defective]), np.sort(-margins[~defective])
    if goal.what == "escapes":
        return _shifted(thresholds, _shift(sides[0], -sides[1], goal, "defective"))
    return _shifted(thresholds, -_shift(sides[1], -sides[0], goal, "good"))


def _shift(own: NDArray[np.float64], others: NDArray[np.float64], goal: Goal, kind: str) -> float:
    """The largest bound that all of `own` but the allowed reach, halfway down to the next of `others`."""
    allowed = int(goal.share * len(own) + 1e-9)
    if allowed >= len(own):
        raise ThresholdsError(
            f"thresholds: found {len(own)} {kind} images, expected more than the {allowed} that may go wrong; "
            "add images or allow less"
        )
    bound = own[allowed]
    if bound == -np.inf:
        raise ThresholdsError(
            f"thresholds: found {int(np.isneginf(own).sum())} of {len(own)} {kind} images without a blob of the "
            f"smallest area, expected at most {allowed}; no score threshold finds them: train again or allow more"
        )
    below = others[others < bound]
    if bound == np.inf:
        return float(below.max()) + 1 if len(below) else 0.0
    return float((bound + max(below.max(), bound - 2)) / 2) if len(below) else float(bound - 1)


def _margins(outputs: Outputs, thresholds: Mapping[str, Threshold], spec: InputSpec) -> NDArray[np.float64]:
    """How far, in log-odds, an image's strongest class lies above its threshold: float64 [N].

    Minus infinity where no class has a blob of its smallest area, whatever the scores.
    """
    any_score = {name: limit.model_copy(update={"score": 0.0}) for name, limit in thresholds.items()}
    eligible = found_classes(outputs, any_score, spec)
    limits = np.array([limit.score for limit in thresholds.values()])
    above = _log_odds(outputs.scores.astype(np.float64)) - _log_odds(limits)
    margins: NDArray[np.float64] = np.where(eligible, above, -np.inf).max(axis=1)
    return margins


def _shifted(thresholds: Mapping[str, Threshold], shift: float) -> dict[str, Threshold]:
    scores = 1 / (1 + np.exp(-_log_odds(np.array([limit.score for limit in thresholds.values()])) - shift))
    return {
        name: limit.model_copy(update={"score": float(score)})
        for (name, limit), score in zip(thresholds.items(), scores, strict=True)
    }


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(p, _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))
