"""Frames and times of the matching tests."""

from edge.cameras.matching.trigger_matching import ArrivedFrame
from tests.edge.cameras.doubles import grey

TIMEOUT_S = 1.0
WINDOW_S = 0.02
LATE_S = 0.5
LATENCY_S = 0.05


def picture(began: float, arrived: float | None = None) -> ArrivedFrame:
    return ArrivedFrame(grey(1), began, began if arrived is None else arrived)


def exposures(answers: list[tuple[int, ArrivedFrame]]) -> list[tuple[int, float | None]]:
    """Say of each answer when its frame was begun, None for a problem."""
    return [(exposure, found.began if found.pixels is not None else None) for exposure, found in answers]
