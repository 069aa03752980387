"""The subcommand `train sweep`: folds, seeds and settings of a plan as runs side by side, with one table at the end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train.cli.options import MarkdownOption, print_grid
from train.errors import TrainError

if TYPE_CHECKING:
    from train.sweep.plan import PlannedRun


def sweep(
    plan: Annotated[Path, typer.Argument(help="TOML file: data, recipe, folds, seeds, settings; docs/sweep.md.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs; finished ones are skipped, interrupted ones resumed.")],
    address: Annotated[str, typer.Option(help="Address of a Ray cluster; local: this machine.")] = "local",
    markdown: MarkdownOption = False,
) -> None:
    """Train each fold with each seed and each setting of a plan, and compare the settings on the test parts."""
    from train.cli.training import train_in_folder
    from train.data.joined import read_datasets
    from train.evaluate.runs.compare_runs import load_metrics, mean_grid
    from train.recipe import load_recipe
    from train.sweep.plan import load_plan, planned_runs, write_splits
    from train.sweep.ray_cluster import train_all

    planned, out = load_plan(plan), out.resolve()
    dataset = read_datasets(planned.data, one_class=load_recipe(planned.recipe).good_only)
    runs = [*planned_runs(planned, write_splits(planned, dataset, out / "splits"), out)]
    open_runs = [run for run in runs if not run.is_finished]
    typer.echo(f"{len(runs)} runs, {len(runs) - len(open_runs)} of them finished")
    failed: list[PlannedRun] = []

    def ended(run: "PlannedRun", problem: str) -> None:
        typer.echo(f"{run.name}: {problem or 'finished'}")
        if problem:
            failed.append(run)

    def train(run: "PlannedRun") -> None:
        train_in_folder(
            run.data, run.recipe, run.folder, str(run.split), None, None, False, False, planned.device, planned.cpus
        )

    for run in open_runs:
        run.begin()
    if open_runs:
        train_all(open_runs, train, address, planned.cpus, planned.gpus, ended)
    if failed:
        raise TrainError(f"sweep: {len(failed)} of {len(runs)} runs failed; the same command tries these again")
    by_setting = {name: [run for run in runs if run.setting == name] for name in planned.settings}
    print_grid(
        mean_grid({name: [load_metrics(run.folder, "test") for run in of] for name, of in by_setting.items()}), markdown
    )
