"""What the commands of `train` share: options, threads, the terminal, which split is meant."""

import sys
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from rich.console import Console

from train.data.dataset import Dataset
from train.data.splits import Kind, Split, load_split, make_split
from train.loop.distributed import DistributedGroup

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a document.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Processor threads. (default: all cores)")]


def resolve_split(name: str, dataset: Dataset, seed: int) -> Split:
    """The split that a user means: `random`, `by-part`, or a file."""
    kinds: dict[str, Kind] = {"random": "random", "by-part": "by-part"}
    return make_split(dataset, kinds[name], seed) if name in kinds else load_split(Path(name))


def use_threads(count: int | None) -> None:
    """Compute with this many threads; None leaves the default."""
    if count is not None:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)


def console_for(group: DistributedGroup) -> Console:
    """The terminal, or a file of 140 columns; silent but in the process that leads."""
    return Console(width=None if sys.stdout.isatty() else 140, quiet=not group.is_leader)
