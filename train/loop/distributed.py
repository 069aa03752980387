"""The processes that train together, one per GPU: `torchrun --nproc-per-node N -m train.cli.main ...`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """How many processes train together, and which of them this is; (0, 1) is a process on its own."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and talks."""
        return self.rank == 0

    def share(self, index: torch.Tensor) -> torch.Tensor:
        """This process's share of a batch: every size-th row."""
        return index[self.rank :: self.size]

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        total = total.cuda() if distributed.get_backend() == "nccl" else total
        distributed.all_reduce(total)
        return total.item() / self.size

    def told(self, value: T) -> T:
        """What the leading process has as `value`, for all."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started; on its own where it did not."""
    if "WORLD_SIZE" not in os.environ:
        yield World()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
        distributed.barrier()  # the others wait while the leading process tests
    finally:
        distributed.destroy_process_group()


def local_device(device: str) -> str:
    """The device of this process: under torchrun the GPU of its local rank, where GPUs are wanted and there."""
    if "LOCAL_RANK" in os.environ and device in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return device
