"""Time of several ways to run networks on one machine, measured in turn.

Other work on the machine then meets all of them alike; their ratios hold where the times do not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import numpy as np

from bundle import FrozenModel

Turn = Callable[[int], tuple[list[float], float]]
"""Runs this number of frames; the milliseconds of each, and the processor's milliseconds per frame."""
Clock = Callable[[], float]


@dataclass(frozen=True)
class Contestant:
    """One way to run one network."""

    network: str
    runtime: str
    turn: Turn


class FrameTiming(FrozenModel):
    """Time of a frame in one way to run one network."""

    network: str
    runtime: str
    frames: int = 0
    median_ms: float | None = None
    p99_ms: float | None = None
    least_ms: float | None = None
    """The smallest median of a round."""
    most_ms: float | None = None
    """The largest median of a round."""
    processor_ms: float | None = None
    """Processor time of a frame in all threads, the median of the rounds."""
    missing: str = ""
    """Reason why there are no figures."""


def frame_by_frame(run: Callable[[int], object], clock: Clock = perf_counter, processor: Clock = process_time) -> Turn:
    """Make the turn of a function that runs one frame, given its number."""

    def turn(frames: int) -> tuple[list[float], float]:
        stamps, before = [clock()], processor()
        for number in range(frames):
            run(number)
            stamps.append(clock())
        return [1e3 * float(ms) for ms in np.diff(stamps)], 1e3 * (processor() - before) / frames

    return turn


def measured(contestants: Sequence[Contestant], rounds: int, frames: int) -> list[FrameTiming]:
    """Measure each contestant on `frames` frames in each round, after one frame that is not counted."""
    for contestant in contestants:
        contestant.turn(1)
    turns = [[contestant.turn(frames) for contestant in contestants] for _ in range(rounds)]
    return [_timing(contestant, [turn[place] for turn in turns]) for place, contestant in enumerate(contestants)]


def _timing(contestant: Contestant, turns: Sequence[tuple[list[float], float]]) -> FrameTiming:
    times = [ms for turn, _ in turns for ms in turn]
    medians = [median(turn) for turn, _ in turns]
    return FrameTiming(
        network=contestant.network,
        runtime=contestant.runtime,
        frames=len(times),
        median_ms=median(times),
        p99_ms=float(np.percentile(times, 99)),
        least_ms=min(medians),
        most_ms=max(medians),
        processor_ms=median(processor for _, processor in turns),
    )
