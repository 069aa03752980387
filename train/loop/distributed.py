"""Distributed data-parallel training, one process per GPU: `torchrun --nproc-per-node N --no-python train ...`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True)
class DistributedGroup:
    """The processes of one training run; rank 0 of size 1 without torchrun."""

    rank: int = 0
    size: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this process validates, writes files and prints."""
        return self.rank == 0

    def shard(self, index: torch.Tensor) -> torch.Tensor:
        """This process's shard of a batch: every size-th row."""
        return index[self.rank :: self.size]

    def mean(self, value: float) -> float:
        """All-reduce: the mean of a number over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        total = total.cuda() if distributed.get_backend() == "nccl" else total
        distributed.all_reduce(total)
        return total.item() / self.size

    def broadcast(self, value: T) -> T:
        """The leader's `value`, in all processes; the value must be picklable."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def process_group(device: torch.device) -> Iterator[DistributedGroup]:
    """Join the process group of torchrun; a group of one process without it."""
    if "WORLD_SIZE" not in os.environ:
        yield DistributedGroup()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield DistributedGroup(distributed.get_rank(), distributed.get_world_size())
        distributed.barrier()  # the others wait while the leader evaluates the test part
    finally:
        distributed.destroy_process_group()


def local_device(device: str) -> str:
    """Device of this process: under torchrun the GPU of its local rank, if a GPU is wanted and available."""
    if "LOCAL_RANK" in os.environ and device in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return device
