"""The command `train`: train by a recipe, or one of its subcommands."""

import sys
from pathlib import Path
from typing import Annotated, Any

import cv2
import torch
import typer
from rich.console import Console

from train.device import choose_compute
from train.errors import TrainError
from train.readers import read_dataset
from train.recipe import load_recipe
from train.run import Run
from train.samples import Dataset
from train.splits import Kind, Split, load_split, make_split

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

DataOption = Annotated[Path | None, typer.Option(help="Folder of labelled images.", show_default=False)]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Override a value of the recipe: key=value.")]


@app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    data: DataOption = None,
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or a TOML file.")] = "magnetic-tile",
    out: Annotated[Path | None, typer.Option(help="Folder of the run; goes on where one is there.")] = None,
    split: Annotated[str | None, typer.Option(help="random, by-part, or a split file. [default: the recipe's]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's; of the split as well.")] = None,
    overrides: SetOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Processor threads. [default: all cores]")] = None,
) -> None:
    """Train the network of a recipe on labelled images, test it, and leave best.pt and metrics.json in --out.

    The same command goes on with an interrupted run.
    """
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise TrainError("--data and --out are needed: train --data DIR --recipe magnetic-tile --out DIR")
    use_threads(threads)
    console = Console(width=None if sys.stdout.isatty() else 140)
    settings = load_recipe(recipe, _overrides(overrides, epochs, seed))
    dataset = read_dataset(data)
    chosen = resolve_split(split or settings.split, dataset, settings.seed)
    compute = choose_compute(device, settings.run.precision)
    run = Run(settings, dataset, chosen, out, compute, console)
    sides = ", ".join(f"{side} {len(samples)}" for side, samples in run.samples.items())
    console.print(f"{dataset.name}: {sides} images, split {chosen.kind}, seed {chosen.seed}", highlight=False)
    console.print(f"recipe {settings.name} on {compute.device}, {compute.reason}", highlight=False)
    run.resume()
    try:
        run.train()
    except KeyboardInterrupt:
        where = f"the last whole epoch is in {run.last}" if run.last.exists() else "no epoch was finished"
        console.print(f"interrupted; {where}. The same command goes on from there.", highlight=False)
        raise typer.Exit(130) from None
    run.test()


def resolve_split(name: str, dataset: Dataset, seed: int) -> Split:
    """The split that a user means: `random`, `by-part`, or a file."""
    kinds: dict[str, Kind] = {"random": "random", "by-part": "by-part"}
    return make_split(dataset, kinds[name], seed) if name in kinds else load_split(Path(name))


def use_threads(count: int | None) -> None:
    """Compute with this many threads; None leaves the default."""
    if count is not None:
        torch.set_num_threads(count)
        cv2.setNumThreads(count)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; an error that the user can put right is one line and exit status 2."""
    try:
        app(arguments)
    except TrainError as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(2)


def _overrides(given: list[str] | None, epochs: int | None, seed: int | None) -> list[str]:
    named = {"run.epochs": epochs, "seed": seed}
    return [*(given or []), *(f"{key}={value}" for key, value in named.items() if value is not None)]


if __name__ == "__main__":
    main()
