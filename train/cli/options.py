"""Options and terminal settings that several commands of `train` share."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:  # it loads scipy and scikit-learn
    from train.evaluate.tables import Grid

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, max=256, help="Processor threads. (default: all cores)")]


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


def named_runs(runs: Sequence[Path]) -> dict[str, Path]:
    """The runs by name: the folder of a run, the stem of another file; whole paths where two share a name."""
    files_of_runs = ("metrics", "predictions")
    names = [
        path.name if path.is_dir() else path.parent.name if path.stem in files_of_runs else path.stem for path in runs
    ]
    return dict(zip(names if len(set(names)) == len(names) else map(str, runs), runs, strict=True))


def print_grid(grid: "Grid", markdown: bool) -> None:
    """Print a table on the terminal, or as Markdown."""
    from train.evaluate.tables import text_table

    if markdown:
        typer.echo(grid.markdown())
    else:
        console_for().print(text_table(grid.columns, grid.rows))
