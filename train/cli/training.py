"""Body of the command `train`: prepares a run, trains it, tests it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from train.cli.dry_run import dry_run
from train.cli.options import console_for, use_threads
from train.data.dataset import Dataset
from train.data.readers import read_dataset
from train.data.splits import Split, named_split
from train.device import choose_compute
from train.loop.distributed import local_device, process_group
from train.loop.memory import keep_freed_memory
from train.loop.run import Run
from train.recipe import Recipe


def train_in_folder(
    data: Path,
    recipe: Recipe,
    out: Path,
    split: str | None,
    init: Path | None,
    dry: bool,
    tensorboard: bool,
    device: str,
    threads: int | None,
) -> None:
    """Train as the options of the command `train` say. Raises TrainError."""
    use_threads(threads)
    keep_freed_memory()
    dataset = read_dataset(data)
    chosen = named_split(split or recipe.split, dataset, recipe.seed)
    with _prepared(recipe, dataset, chosen, out, local_device(device)) as run:
        if dry:
            run.console.print("\n".join(dry_run(run)), highlight=False)
            return
        run.resume()
        if init is not None:
            run.start_from(init)
        _train(run, tensorboard)
        if run.group.is_leader:
            run.test()


@contextmanager
def _prepared(recipe: Recipe, dataset: Dataset, split: Split, out: Path, device: str) -> Iterator[Run]:
    """The run inside its process group; prints the choices once, with their reasons."""
    compute = choose_compute(device, recipe.run.precision, recipe.network.width)
    with process_group(compute.device) as group:
        console = console_for(group.is_leader)
        run = Run(recipe, dataset, split, out, compute, console, group)
        sides = ", ".join(f"{side} {len(samples)}" for side, samples in run.samples.items())
        console.print(f"{dataset.name}: {sides} images, split {split.kind}, seed {split.seed}", highlight=False)
        processes = f" in {group.size} processes" if group.size > 1 else ""
        console.print(f"recipe {recipe.name} on {compute.device}{processes}, {compute.reason}", highlight=False)
        yield run


def _train(run: Run, tensorboard: bool) -> None:
    try:
        run.train(tensorboard=tensorboard)
    except KeyboardInterrupt:
        done = f"epoch {run.history.done} is complete: the same command resumes from {run.last}"
        none = "no epoch is complete: the same command starts from the beginning"
        run.console.print(f"interrupted; {done if run.history.done else none}", highlight=False)
        raise typer.Exit(130) from None
