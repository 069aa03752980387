"""Latency and model size of bundles on this machine's CPU."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from bundle import FrozenModel, Image
from bundle.golden import Infer

ROUNDS = 15


class RunningCost(FrozenModel):
    """Model size and latency of a bundle."""

    model_bytes: int
    milliseconds: float
    """Median per frame on this machine's CPU; measure a GPU with `edge-export engine`."""


def milliseconds(
    engines: Sequence[Infer],
    inputs: Sequence[Image],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median time per frame of each engine on its own frame, uint8 [1, C, H, W].

    The engines take turns, so that changes of the machine's speed affect all of them; the first round is the warm-up.
    """
    times = np.zeros((rounds + 1, len(engines)))
    for round_times in times:
        for place, (infer, frame) in enumerate(zip(engines, inputs, strict=True)):
            began = clock()
            infer(frame)
            round_times[place] = 1000 * (clock() - began)
    return [float(value) for value in np.median(times[1:], axis=0)]
