"""Subcommands of `train` that read finished runs: `evaluate`, `thresholds`, `pool`, `compare`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from train.cli.options import (
    DeviceOption,
    MarkdownOption,
    ThreadsOption,
    console_for,
    named_runs,
    print_grid,
    use_threads,
)
from train.errors import CheckpointError, ThresholdError

if TYPE_CHECKING:  # these load scipy and scikit-learn
    from train.evaluate.per_part import PartRow


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="best.pt or last.pt of a run.")],
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    split: Annotated[str | None, typer.Option(help="random, by-part or a file. (default: the checkpoint's)")] = None,
    part: Annotated[Literal["train", "val", "test", "all"], typer.Option(help="Part of the split.")] = "test",
    output: Annotated[Path | None, typer.Option("--json", help="Write all metrics to this file.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write the prediction of each image, for `pool`.")] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Evaluate a checkpoint on labelled images, with its own thresholds."""
    from bundle import write_whole
    from train.data.anomaly import is_anomaly
    from train.data.readers import read_dataset
    from train.data.splits import check_part, named_split
    from train.device import compute_of
    from train.evaluate.predict import evaluate_checkpoint
    from train.evaluate.prediction_files import save_predictions
    from train.evaluate.tables import metrics_table
    from train.models.checkpoint import load_checkpoint

    check_part(split, part)
    use_threads(threads)
    console = console_for()
    stored = load_checkpoint(checkpoint)
    dataset = read_dataset(data, one_class=is_anomaly(stored.meta.classes))
    chosen = None
    if part != "all":
        chosen = named_split(split, dataset, stored.meta.split.seed) if split else stored.meta.split
    compute = compute_of(device, stored.meta.recipe)
    judged, warning = evaluate_checkpoint(stored, dataset, chosen, part, compute)
    metrics = judged.metrics()
    console.print(*([warning] if warning else []), metrics_table(metrics, f"{part}: {metrics.images} images"), sep="\n")
    if output is not None:
        write_whole(output, json.dumps(metrics.model_dump(mode="json"), indent=1) + "\n")
    if predictions is not None:
        save_predictions(judged, predictions)


def choose_held_out(
    checkpoint: Annotated[Path, typer.Argument(help="best.pt of a run.")],
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of finished runs, such as folds, or their checkpoints. (default: its own validation part)"
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override its recipe: thresholds.KEY=VALUE.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write thresholds that reject every good image, or find no defect.")
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Choose a checkpoint's thresholds again, on held-out predictions of other runs, such as cross-validation folds.

    Each run predicts its own test part; images of the checkpoint's own test part are left out. Without runs its own
    validation part is taken, by another rule: --set thresholds.KEY=VALUE.
    """
    from train.data.anomaly import is_anomaly
    from train.data.readers import read_dataset
    from train.device import compute_of
    from train.evaluate.held_out import HELD_OUT, with_held_out_thresholds
    from train.evaluate.metrics import Metrics
    from train.evaluate.tables import metrics_table, threshold_grid
    from train.evaluate.thresholds import objection_to
    from train.loop.run_folder import BEST, warn
    from train.models.checkpoint import load_checkpoint, save_checkpoint
    from train.recipe import with_thresholds

    use_threads(threads)
    runs = runs or []
    stored = load_checkpoint(checkpoint)
    if (found := _lost_at(out, (checkpoint, *runs))) is not None:
        raise CheckpointError(f"--out {out}: found {found}, which would be lost; name another file")
    recipe = with_thresholds(stored.meta.recipe, overrides or [])
    others = {str(run): load_checkpoint(run / BEST if run.is_dir() else run) for run in runs}
    console = console_for()
    for path, one in ((checkpoint, stored), *zip(runs, others.values(), strict=True)):
        warn(console, one.meta.unfinished(path))
    compute = compute_of(device, recipe)
    dataset = read_dataset(data, one_class=is_anomaly(stored.meta.classes))
    made = with_held_out_thresholds(stored, others, dataset, recipe, compute)
    metrics = Metrics.model_validate(made.meta.metrics[HELD_OUT])
    print_grid(threshold_grid(stored.meta.thresholds, made.meta.thresholds), markdown=False)
    if not force and (objection := objection_to(metrics)):
        raise ThresholdError(
            f"thresholds: {objection}; choose otherwise with --set thresholds.choose, add images, or say --force"
        )
    save_checkpoint(made, out)
    title = f"{out}: thresholds chosen on these {metrics.images} images, so these metrics are optimistic"
    console.print(metrics_table(metrics, title))


def pool_runs(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or their predictions.json.")],
    data: Annotated[Path | None, typer.Option(help="Folder of their images; lists the parts judged wrongly.")] = None,
    markdown: MarkdownOption = False,
    output: Annotated[Path | None, typer.Option("--json", help="Write all metrics to this file.")] = None,
) -> None:
    """Pool the predictions of several runs, such as cross-validation folds, and show the spread between runs."""
    from bundle import write_whole
    from train.data.anomaly import is_anomaly
    from train.data.readers import read_dataset
    from train.evaluate.per_part import part_rows
    from train.evaluate.prediction_files import FILE, Predictions, load_predictions
    from train.evaluate.runs.pooling import pool, recall_lines, spread_table
    from train.evaluate.tables import metrics_table

    named = {name: load_predictions(path / FILE if path.is_dir() else path) for name, path in named_runs(runs).items()}
    made = pool(named)
    console = console_for()
    if made.pooled is None:
        console.print(f"some of the {made.images} images are in several runs: not pooled", highlight=False)
    else:
        console.print(metrics_table(made.pooled, f"{made.images} images of {len(runs)} runs, pooled"))
        console.print("\n".join(recall_lines(made)), highlight=False)
    console.print(spread_table(made))
    if data is not None:
        classes = next(iter(named.values())).classes
        rows = tuple(row for one in named.values() for row in one.images)
        _print_parts(part_rows(Predictions(classes, rows), read_dataset(data, one_class=is_anomaly(classes))), markdown)
    if output is not None:
        write_whole(output, made.model_dump_json(indent=1) + "\n")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or their metrics.json.")],
    part: Annotated[Literal["val", "test"], typer.Option(help="Part of the split.")] = "test",
    paper: Annotated[bool, typer.Option("--paper", help="Add the rows of the paper's Table I.")] = False,
    markdown: MarkdownOption = False,
) -> None:
    """Compare the metrics of several runs, one row per run."""
    from train.evaluate.runs.compare_runs import load_metrics, measures_grid, other_images, paper_grid
    from train.evaluate.runs.paper_table import TABLE_I

    paths = named_runs(runs)
    measured = {name: load_metrics(path, part) for name, path in paths.items()}
    for remark in other_images(paths, part):
        typer.echo(f"warning: {remark}")
    for grid in (paper_grid(measured, TABLE_I if paper else None), measures_grid(measured)):
        print_grid(grid, markdown)


def _lost_at(out: Path, given: Sequence[Path]) -> str | None:
    """Kind of file or folder at `out` that must be kept; None where there is none, or chosen thresholds alone."""
    from train.evaluate.held_out import HELD_OUT
    from train.loop.run_folder import BEST, LAST
    from train.models.checkpoint import load_checkpoint

    if not out.exists():
        return None
    if out.is_dir():
        return "a folder"
    try:
        of_run = not {*load_checkpoint(out).meta.metrics} <= {"train", HELD_OUT} or out.name in (BEST, LAST)
    except CheckpointError:
        return "another file"
    return "a checkpoint of a run" if of_run or out.resolve() in {path.resolve() for path in given} else None


def _print_parts(rows: "Sequence[PartRow]", markdown: bool) -> None:
    """The parts judged wrongly, defective ones first, each kind under its share."""
    from train.evaluate.per_part import part_table, wrong_share

    kinds = {"escapes": [row for row in rows if not row.good], "false rejects": [row for row in rows if row.good]}
    for name, kind in kinds.items():
        if kind:
            typer.echo(f"{name}: {wrong_share(kind)}")
            print_grid(part_table(kind), markdown)
