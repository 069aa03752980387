"""Subcommand `train ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from train.cli.options import DeviceOption, ThreadsOption, console_for, use_threads
from train.errors import CheckpointError


def ensemble(
    checkpoints: Annotated[list[Path], typer.Argument(help="best.pt of two or more runs; the first gives the input.")],
    data: Annotated[Path, typer.Option(help="Folder of the labelled images that they were trained on.")],
    out: Annotated[Path, typer.Option(help="Folder to write: best.pt, metrics.json and report.html.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override the first run's recipe: thresholds.KEY=VALUE.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Join finished runs of one split into one network, the mean of their mask logits.

    Networks of different kinds err on different parts. The thresholds are chosen on the validation part. A frame takes
    the time of all members. A classifier of patches, as of few-defects, is named first: it decides, by its own
    thresholds, and the others help to outline. `edge-export bundle` takes the best.pt as any other.
    """
    from train.data.readers import read_dataset
    from train.device import compute_of
    from train.loop.ensemble_run import EnsembleRun, ensemble_recipe
    from train.models.checkpoint import load_checkpoint
    from train.recipe import with_thresholds

    use_threads(threads)
    if len(checkpoints) < 2:
        raise CheckpointError(
            f"found {len(checkpoints)} checkpoint, expected best.pt of two or more runs; name another"
        )
    twice = [
        path for number, path in enumerate(checkpoints) if path.resolve() in map(Path.resolve, checkpoints[:number])
    ]
    if twice:
        raise CheckpointError(f"{twice[0]}: found twice, expected best.pt of two or more runs; name another")
    members = {str(path): load_checkpoint(path) for path in checkpoints}
    recipe = ensemble_recipe(members)
    if overrides and recipe.network.is_decided:
        raise CheckpointError(
            f"--set {overrides[0]}: found a setting of an ensemble that {checkpoints[0]} decides, expected none: its "
            "thresholds are that run's own; choose them there, or by `train thresholds` with joined runs of folds"
        )
    recipe = with_thresholds(recipe, overrides or [])
    run = EnsembleRun(recipe, members, read_dataset(data), out, compute_of(device, recipe), console_for())
    run.join()
    run.test()
