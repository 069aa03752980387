"""The command `train`: train by a recipe, or one of its subcommands."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from train.cli import data as cli_data
from train.cli import runs as cli_runs
from train.cli.dry_run import dry_run
from train.cli.options import DeviceOption, ThreadsOption, console_for, resolve_split, use_threads
from train.data.dataset import Dataset
from train.data.readers import read_dataset
from train.data.splits import Split
from train.device import choose_compute
from train.errors import TrainError
from train.loop.distributed import local_device, process_group
from train.loop.memory import keep_freed_memory
from train.loop.run import Run
from train.recipe import Recipe, load_recipe

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

app.command("split")(cli_data.write_split)
app.command("import")(cli_data.import_annotations)
app.command("evaluate")(cli_runs.evaluate)
app.command("thresholds")(cli_runs.choose_held_out)
app.command("pool")(cli_runs.pool_runs)
app.command("compare")(cli_runs.compare)


@app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder of labelled images.", show_default=False)] = None,
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or a TOML file.")] = "magnetic-tile",
    out: Annotated[Path | None, typer.Option(help="Folder of the run; goes on where one is there.")] = None,
    split: Annotated[str | None, typer.Option(help="random, by-part, or a split file. (default: the recipe's)")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's; of the split as well.")] = None,
    model: Annotated[str | None, typer.Option(help="can, or a peer: unet-resnet50, unet-densenet121, ...")] = None,
    pretrained: Annotated[bool | None, typer.Option(help="Start a peer from ImageNet weights.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a recipe's value: key=value.")] = None,
    init: Annotated[Path | None, typer.Option(help="Checkpoint to start from (fine-tuning).")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="One batch through everything; memory and time.")] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write curves for TensorBoard into --out.")] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Train the network of a recipe on labelled images; leave best.pt, metrics.json and report.html in --out.

    The same command goes on with an interrupted run after its last whole epoch, and gives the very weights of a run
    that was never interrupted. On several GPUs: torchrun --nproc-per-node N -m train.cli.main ...
    """
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise TrainError("--data and --out are needed: train --data DIR --recipe magnetic-tile --out DIR")
    use_threads(threads)
    keep_freed_memory()
    named = {"run.epochs": epochs, "seed": seed, "network.model": model, "network.pretrained": pretrained}
    settings = load_recipe(recipe, [*(overrides or []), *_overrides(named)])
    dataset = read_dataset(data)
    chosen = resolve_split(split or settings.split, dataset, settings.seed)
    with _prepared(settings, dataset, chosen, out, local_device(device)) as run:
        if dry:
            run.console.print("\n".join(dry_run(run)), highlight=False)
            return
        run.resume()
        if init is not None:
            run.start_from(init)
        _train(run, tensorboard)
        if run.group.is_leader:
            run.test()


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; an error that the user can put right is one line and exit status 2."""
    try:
        app(arguments)
    except TrainError as error:
        problem = str(error)
    except torch.OutOfMemoryError:
        problem = "the GPU's memory is full; compute a batch in parts with --set run.accumulate=2, or 4"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}; check the path, the permissions and the disk"
    print(f"train: {problem}", file=sys.stderr)
    sys.exit(2)


@contextmanager
def _prepared(recipe: Recipe, dataset: Dataset, split: Split, out: Path, device: str) -> Iterator[Run]:
    """The run, in the group of its processes, with what was chosen said once."""
    compute = choose_compute(device, recipe.run.precision, recipe.network.width)
    with process_group(compute.device) as group:
        console = console_for(group)
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
        done = f"epoch {run.history.done} is the last whole one: the same command goes on from {run.last}"
        none = "no epoch was finished: the same command begins anew"
        run.console.print(f"interrupted; {done if run.history.done else none}", highlight=False)
        raise typer.Exit(130) from None


def _overrides(named: Mapping[str, object]) -> list[str]:
    return [f"{key}={str(value).lower()}" for key, value in named.items() if value is not None]


if __name__ == "__main__":
    main()
