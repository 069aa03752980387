"""The ways in which a part is settled without having been judged."""

import logging

from bundle import FrameError, Verdict
from edge.errors import StationError
from edge.part import Outcome, Part

log = logging.getLogger(__name__)


def settle_as(part: Part, verdict: Verdict, fault: str) -> None:
    """Give a part TIMEOUT or FAULT with its reason, in the log as well; nothing if it has its verdict already."""
    if part.settle(Outcome(verdict, fault=fault)):
        log.warning("part %d (row %d): %s: %s", part.part_id, part.number, verdict.name, fault)


def settle_late(part: Part) -> None:
    """Give TIMEOUT to a part whose deadline has passed."""
    settle_as(
        part, Verdict.TIMEOUT, f"no verdict within {(part.deadline - part.triggered) * 1e3:.0f} ms of the trigger"
    )


def settle_error(part: Part, error: Exception) -> None:
    """Give FAULT to a part that could not be inspected: whatever it was, it is not proved good."""
    if isinstance(error, (StationError, FrameError)):
        settle_as(part, Verdict.FAULT, str(error))
    else:
        log.error("part %d could not be inspected", part.part_id, exc_info=error)
        settle_as(part, Verdict.FAULT, f"{type(error).__name__}: {error}")
