"""The subcommand `train improve`: a network trained further on new parts, compared with the one it starts from."""

from pathlib import Path
from typing import Annotated

import typer

from train.cli.options import DeviceOption, ThreadsOption, print_grid

SHARE_OF_EPOCHS = 3
"""The run is this many times shorter than that of the recipe, unless --epochs says otherwise."""
SHARE_OF_RATE = 2
"""The learning rate is this many times lower."""


def improve(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of the network in use, such as best.pt.")],
    data: Annotated[list[Path], typer.Option(help="Data sets: the ones it was trained on, and the collected ones.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in it is resumed.")],
    hold_out: Annotated[
        float, typer.Option(min=0.05, max=0.8, help="Share of the new parts that is held out for the comparison.")
    ] = 1 / 3,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs. (default: a third of the recipe's)")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override the recipe's value: key=value.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Train a network further on new parts, and compare it with its predecessor on held-out parts.

    The split of the checkpoint is extended: held-out parts stay held out. Exit status 0 if the new network is shown to
    be better, 1 if not.
    """
    from train.cli.training import improve_in_folder
    from train.evaluate.runs.improvement import counts_grid, lines
    from train.models.checkpoint import load_checkpoint
    from train.recipe import with_overrides

    stored = load_checkpoint(checkpoint)
    before = stored.meta.recipe
    chosen = epochs or max(1, before.run.epochs // SHARE_OF_EPOCHS)
    rate = before.optimiser.learning_rate / SHARE_OF_RATE
    recipe = with_overrides(before, [f"run.epochs={chosen}", f"optimiser.learning_rate={rate!r}", *(overrides or [])])
    found = improve_in_folder(data, recipe, out, stored, checkpoint, hold_out, device, threads)
    print_grid(counts_grid(found), markdown=False)
    for line in lines(found):
        typer.echo(line)
    if found.conclusion != "better":
        raise typer.Exit(1)
