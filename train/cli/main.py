"""The command `train`: trains by a recipe, or runs one of its subcommands.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from train.cli import data_commands, ensemble_command, improve_command, prediction_commands, run_commands, sweep_command
from train.cli.options import DeviceOption, ThreadsOption
from train.errors import TrainError

if TYPE_CHECKING:  # it loads pydantic
    from train.recipe import Recipe

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

app.command("check")(data_commands.check)
app.command("split")(data_commands.write_split)
app.command("import")(data_commands.import_annotations)
app.command("improve")(improve_command.improve)
app.command("sweep")(sweep_command.sweep)
app.command("ensemble")(ensemble_command.ensemble)
app.command("evaluate")(run_commands.evaluate)
app.command("thresholds")(run_commands.choose_held_out)
app.command("pool")(run_commands.pool_runs)
app.command("compare")(run_commands.compare)
app.command("suspects")(prediction_commands.suspects)
app.command("unsure")(prediction_commands.unsure)


def _print_version(asked: bool) -> None:
    from importlib.metadata import version

    if asked:
        typer.echo(f"edge-inspect {version('edge-inspect')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder of labelled images; several are joined.", show_default=False)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Name of a recipe, or a TOML file. (default: chosen by the data)")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; an interrupted run in it is resumed.")] = None,
    split: Annotated[str | None, typer.Option(help="random, by-part, or a split file. (default: the recipe's)")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's; also seeds the split.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Another network than the recipe's: can-fine, unet-lite, upernet, ...")
    ] = None,
    pretrained: Annotated[bool | None, typer.Option(help="Start a peer from ImageNet weights.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a recipe's value: key=value.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Checkpoint to start from (fine-tuning), or surface-base, that of the package.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Checkpoint whose masks are targets beside the outlines.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Run one batch through every stage; memory and time.")] = False,
    tensorboard: Annotated[bool, typer.Option(help="Curves and pictures for TensorBoard, in OUT/tensorboard.")] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train the network of a recipe on labelled images; writes best.pt, metrics.json and report.html into --out.

    The same command resumes an interrupted run after its last whole epoch, with the same weights as a run that was
    never interrupted; with larger --epochs it extends a run. On several GPUs:
    torchrun --nproc-per-node N --no-python train ...
    """
    if context.invoked_subcommand is not None:
        return
    if not data or out is None:
        raise TrainError("--data and --out are needed: train --data DIR --out DIR")

    named = {"run.epochs": epochs, "seed": seed, "network.model": model, "network.pretrained": pretrained}
    given = [f"{key}={str(value).lower()}" for key, value in named.items() if value is not None]
    settings = _recipe(recipe, data, [*(overrides or []), *given])
    from train.cli.training import train_in_folder  # after the recipe's own errors: this loads torch
    from train.models.finetune import checkpoint_path

    started = None if init is None else checkpoint_path(init)
    train_in_folder(data, settings, out, split, started, teacher, dry, tensorboard, device, threads)


def _recipe(name: str | None, data: list[Path], overrides: list[str]) -> "Recipe":
    """The recipe of this name, or without one that which fits the data, with its reasons printed."""
    if name is not None:
        from train.recipe import load_recipe

        return load_recipe(name, overrides)
    from train.cli.default_recipe import choose_recipe

    chosen = choose_recipe(data)
    for reason in chosen.reasons:
        typer.echo(reason)
    return chosen.recipe(overrides)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; an error that the user can put right is one line and exit status 2."""
    try:
        app(arguments)
    except TrainError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}; check the path, the permissions and the disk"
    except RuntimeError as error:
        if not _out_of_gpu_memory(error):
            raise
        problem = "the GPU's memory is full; compute a batch in parts with --set run.accumulate=2, or 4"
    print(f"train: {problem}", file=sys.stderr)
    sys.exit(2)


def _out_of_gpu_memory(error: RuntimeError) -> bool:
    torch = sys.modules.get("torch")  # if no command has imported it, the error is not torch's
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


if __name__ == "__main__":
    main()
