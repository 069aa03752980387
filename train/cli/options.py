"""Options and terminal settings that several commands of `train` share."""

import sys
from typing import Annotated

import typer
from rich.console import Console

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Processor threads. (default: all cores)")]


def use_threads(count: int | None) -> None:
    """Set the number of threads of torch and OpenCV; None leaves their defaults."""
    if count is not None:
        import cv2
        import torch

        torch.set_num_threads(count)
        cv2.setNumThreads(count)


def console_for(is_leader: bool = True) -> Console:
    """Console as wide as the terminal, 140 columns in a file; prints only in the leading process."""
    return Console(width=None if sys.stdout.isatty() else 140, quiet=not is_leader, markup=False, emoji=False)
