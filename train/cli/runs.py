"""The commands of `train` that read finished runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from train.cli.options import DeviceOption, MarkdownOption, ThreadsOption, console_for, resolve_split, use_threads
from train.data.readers import read_dataset
from train.device import choose_compute
from train.errors import CheckpointError, RecipeError
from train.evaluate.compare_runs import document_grid, load_measures, measures_grid
from train.evaluate.held_out import HELD_OUT, with_held_out_thresholds
from train.evaluate.metrics import Metrics
from train.evaluate.paper_table import TABLE_I
from train.evaluate.per_part import PartRow, part_rows, part_table, share_text
from train.evaluate.pooling import pool, recall_lines, spread_table
from train.evaluate.predict import evaluate_checkpoint
from train.evaluate.prediction_files import FILE, Judged, load_predictions, save_predictions
from train.evaluate.tables import Grid, metrics_table, text_table
from train.loop.distributed import DistributedGroup
from train.loop.run import BEST
from train.models.checkpoint import load_checkpoint, save_checkpoint
from train.recipe import with_overrides


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="best.pt or last.pt of a run.")],
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    split: Annotated[str | None, typer.Option(help="random, by-part or a file. (default: the checkpoint's)")] = None,
    part: Annotated[Literal["train", "val", "test", "all"], typer.Option(help="Which side of the split.")] = "test",
    output: Annotated[Path | None, typer.Option("--json", help="Write every measure to this file.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write what it says of each image, for `pool`.")] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Measure a checkpoint on labelled images, with the thresholds that it carries."""
    use_threads(threads)
    console = console_for(DistributedGroup())
    stored = load_checkpoint(checkpoint)
    dataset = read_dataset(data)
    chosen = None
    if part != "all":
        chosen = resolve_split(split, dataset, stored.meta.split.seed) if split else stored.meta.split
    trained = stored.meta.recipe
    compute = choose_compute(device, trained.run.precision, trained.network.width)
    judged, warning = evaluate_checkpoint(stored, dataset, chosen, part, compute)
    metrics = judged.metrics()
    console.print(*([warning] if warning else []), metrics_table(metrics, f"{part}: {metrics.images} images"), sep="\n")
    if output is not None:
        output.write_text(json.dumps(metrics.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    if predictions is not None:
        save_predictions(judged, predictions)


def choose_held_out(
    checkpoint: Annotated[Path, typer.Argument(help="best.pt of a run.")],
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, such as folds, or their checkpoints.")],
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override its recipe: thresholds.KEY=VALUE.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Choose a checkpoint's thresholds anew, on what the runs said of images that they were not trained on.

    Those are the runs' test parts, but for the images of the checkpoint's own: of k folds, every other image.
    """
    use_threads(threads)
    stored = load_checkpoint(checkpoint)
    other = [override for override in overrides or [] if not override.startswith("thresholds.")]
    if other:
        raise RecipeError(f"--set {other[0]}: found a value that the weights depend on, expected thresholds.KEY=VALUE")
    if out.resolve() == checkpoint.resolve():
        raise CheckpointError(f"--out {out}: found the checkpoint itself, whose thresholds would be lost; name another")
    recipe = with_overrides(stored.meta.recipe, overrides or [])
    others = {str(run): load_checkpoint(run / BEST if run.is_dir() else run) for run in runs}
    compute = choose_compute(device, recipe.run.precision, recipe.network.width)
    made = with_held_out_thresholds(stored, others, read_dataset(data), recipe, compute)
    save_checkpoint(made, out)
    metrics = Metrics.model_validate(made.meta.metrics[HELD_OUT])
    title = f"{out}: thresholds chosen on these {metrics.images} images, whose measures therefore flatter"
    console_for(DistributedGroup()).print(metrics_table(metrics, title))


def pool_runs(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or their predictions.json.")],
    data: Annotated[Path | None, typer.Option(help="Their images' folder: lists the parts judged wrongly.")] = None,
    markdown: MarkdownOption = False,
    output: Annotated[Path | None, typer.Option("--json", help="Write every measure to this file.")] = None,
) -> None:
    """Measure several runs as one: the test parts of all folds together, and the spread from run to run."""
    files = [path / FILE if path.is_dir() else path for path in runs]
    names = [path.name if path.is_dir() else path.stem for path in runs]
    if len(set(names)) < len(names):
        names = [str(path) for path in runs]
    judged = {name: load_predictions(file) for name, file in zip(names, files, strict=True)}
    made = pool(judged)
    console = console_for(DistributedGroup())
    if made.pooled is None:
        console.print(f"some of the {made.images} images are in several runs: not pooled", highlight=False)
    else:
        console.print(metrics_table(made.pooled, f"{made.images} images of {len(runs)} runs, pooled"))
        console.print("\n".join(recall_lines(made)), highlight=False)
    console.print(spread_table(made))
    if data is not None:
        rows = tuple(row for one in judged.values() for row in one.images)
        _print_parts(part_rows(Judged(next(iter(judged.values())).classes, rows), read_dataset(data)), markdown)
    if output is not None:
        output.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or their metrics.json.")],
    part: Annotated[Literal["val", "test"], typer.Option(help="Which side of the split.")] = "test",
    document: Annotated[bool, typer.Option("--document", help="Put the source document's Table I above.")] = False,
    markdown: MarkdownOption = False,
) -> None:
    """Print several runs beside each other, a row each."""
    names = [run.name if run.is_dir() else run.parent.name for run in runs]
    measured = {name: load_measures(run, part) for name, run in zip(names, runs, strict=True)}
    for grid in (document_grid(measured, TABLE_I if document else None), measures_grid(measured)):
        _print_grid(grid, markdown)


def _print_parts(rows: Sequence[PartRow], markdown: bool) -> None:
    """The parts judged wrongly, defective ones first, each kind under its share."""
    for what, kind in (
        ("escapes", [row for row in rows if not row.good]),
        ("false rejects", [row for row in rows if row.good]),
    ):
        if kind:
            typer.echo(f"{what}: {share_text(kind)}")
            _print_grid(part_table(kind), markdown)


def _print_grid(grid: Grid, markdown: bool) -> None:
    if markdown:
        typer.echo(grid.markdown())
    else:
        console_for(DistributedGroup()).print(text_table(grid.columns, grid.rows))
