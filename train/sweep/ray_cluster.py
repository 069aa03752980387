"""Runs of a sweep on Ray, on this machine or a cluster. The only file that imports ray."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout

from train.errors import TrainError
from train.sweep.plan import PlannedRun

LOG = "log"
"""File of the output of a run, in its folder."""


def train_all(
    runs: Sequence[PlannedRun],
    train: Callable[[PlannedRun], None],
    address: str,
    cpus: int,
    gpus: float,
    ended: Callable[[PlannedRun, str], None],
) -> None:
    """Train runs side by side, each in a process of its own; `ended` is called after each with its problem, or "".

    train: trains one run, in its process. address: of a cluster; "local" starts one on this machine for this call. The
    folders of the runs and the data must be at the same place on all machines. Raises TrainError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise TrainError("sweep: ray is not installed; pip install 'edge-inspect[sweep]'") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises bare ones too, as where a busy machine starts it too slowly
        advice = "check --address; on a very busy machine install 'ray<2.54'"
        raise TrainError(f"sweep: found no Ray at {address!r} ({error}); {advice}") from None
    try:
        _check_size([node["Resources"] for node in ray.nodes() if node["Alive"]], cpus, gpus)
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=0)(_train)
        waiting = {task.remote(train, run): run for run in runs}
        while waiting:
            (done,), _ = ray.wait([*waiting], num_returns=1)
            try:
                problem = ray.get(done)
            except ray.exceptions.RayError as error:  # its process or machine is gone, or another error
                problem = " ".join(str(error).split())[-300:]
            ended(waiting.pop(done), problem)
    finally:
        ray.shutdown()


def _check_size(machines: Sequence[Mapping[str, float]], cpus: int, gpus: float) -> None:
    """Refuse runs that no machine has room for, which Ray would let wait for ever; raises TrainError."""
    if not any(machine.get("CPU", 0) >= cpus and machine.get("GPU", 0) >= gpus for machine in machines):
        found = "; ".join(f"{machine.get('CPU', 0):g} and {machine.get('GPU', 0):g}" for machine in machines)
        raise TrainError(
            f"sweep: found machines with {found or 'no'} processors and GPUs, expected one with {cpus} and {gpus:g}; "
            "set cpus and gpus in the plan"
        )


def _train(train: Callable[[PlannedRun], None], run: PlannedRun) -> str:
    """Be the process of one run; returns its problem, or ""."""
    with (run.folder / LOG).open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            train(run)
        except TrainError as error:
            return str(error)
    return ""
