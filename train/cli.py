"""The command `train`: train by a recipe, or one of its subcommands."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import torch
import typer
from rich.console import Console

from train.annotations import import_coco, import_labelme
from train.by_part import PartRow, part_rows, part_table, share_text
from train.checkpoint import load_checkpoint, save_checkpoint
from train.comparing import document_grid, load_measures, measures_grid
from train.device import choose_compute
from train.document import TABLE_I
from train.dryrun import dry_run
from train.errors import RecipeError, TrainError
from train.evaluation import evaluate_checkpoint
from train.folds import make_folds
from train.held_out import HELD_OUT, with_held_out_thresholds
from train.memory import keep_freed_memory
from train.metrics import Metrics
from train.pooling import pool, recall_lines, spread_table
from train.prediction_files import FILE, load_predictions, save_predictions
from train.readers import read_dataset
from train.recipe import Recipe, load_recipe, with_overrides
from train.run import BEST, Run
from train.samples import Dataset
from train.splits import SIDES, Kind, Side, Split, load_split, make_split, save_split, write_lists
from train.tables import Grid, metrics_table, text_table
from train.world import World, joined_world, local_device

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a document.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Processor threads. (default: all cores)")]


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
    that was never interrupted. On several GPUs: torchrun --nproc-per-node N -m train.cli ...
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
        if run.world.leads:
            run.test()


@app.command()
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
    console = _console(World())
    stored = load_checkpoint(checkpoint)
    dataset = read_dataset(data)
    chosen = None
    if part != "all":
        chosen = resolve_split(split, dataset, stored.meta.split.seed) if split else stored.meta.split
    compute = choose_compute(device, stored.meta.recipe.run.precision)
    judged, warning = evaluate_checkpoint(stored, dataset, chosen, part, compute)
    metrics = judged.metrics()
    console.print(*([warning] if warning else []), metrics_table(metrics, f"{part}: {metrics.images} images"), sep="\n")
    if output is not None:
        output.write_text(json.dumps(metrics.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    if predictions is not None:
        save_predictions(judged, predictions)


@app.command("thresholds")
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
    recipe = with_overrides(stored.meta.recipe, overrides or [])
    others = {str(run): load_checkpoint(run / BEST if run.is_dir() else run) for run in runs}
    compute = choose_compute(device, recipe.run.precision)
    made = with_held_out_thresholds(stored, others, read_dataset(data), recipe, compute)
    save_checkpoint(made, out)
    metrics = Metrics.model_validate(made.meta.metrics[HELD_OUT])
    title = f"{out}: thresholds chosen on these {metrics.images} images, whose measures therefore flatter"
    _console(World()).print(metrics_table(metrics, title))


@app.command("pool")
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
    console = _console(World())
    if made.pooled is None:
        console.print(f"some of the {made.images} images are in several runs: not pooled", highlight=False)
    else:
        console.print(metrics_table(made.pooled, f"{made.images} images of {len(runs)} runs, pooled"))
        console.print("\n".join(recall_lines(made)), highlight=False)
    console.print(spread_table(made))
    if data is not None:
        dataset = read_dataset(data)
        _print_parts([row for one in judged.values() for row in part_rows(one, dataset)], markdown)
    if output is not None:
        output.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")


@app.command()
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


@app.command("split")
def write_split(
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option(help="File to write (JSON); with --folds the folder of fold-1.json, ...")],
    kind: Annotated[Literal["random", "by-part"], typer.Option(help="See the README.")] = "by-part",
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    folds: Annotated[
        int | None, typer.Option(help="Write so many splits, which between them test every image once.")
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder for train.txt, val.txt, test.txt: image paths, as cameras play them."),
    ] = None,
) -> None:
    """Write a split to a file, so that others can use the very same one; with --folds one file per fold."""
    dataset = read_dataset(data)
    if folds is None:
        _write_split(make_split(dataset, kind, seed), dataset, out, lists)
        return
    made = make_folds(dataset, kind, seed, folds)
    out.mkdir(parents=True, exist_ok=True)
    for number, split in enumerate(made.splits, start=1):
        name = f"fold-{number}"
        _write_split(split, dataset, out / f"{name}.json", lists / name if lists is not None else None)
    for remark in made.remarks:
        typer.echo(f"note: {remark}")


@app.command("import")
def import_annotations(
    kind: Annotated[Literal["coco", "labelme"], typer.Argument(help="What wrote the annotations.")],
    annotations: Annotated[Path, typer.Argument(help="COCO: the JSON file. LabelMe: the folder of images and JSON.")],
    out: Annotated[Path, typer.Option(help="Folder to write, new or empty.")],
    images: Annotated[Path | None, typer.Option(help="COCO: folder of the images. (default: the file's)")] = None,
) -> None:
    """Write COCO or LabelMe annotations as a folder that `train --data` reads."""
    if kind == "coco":
        count = import_coco(annotations, images or annotations.parent, out)
    else:
        count = import_labelme(annotations, out)
    typer.echo(f"{out}: {count} images")


def _write_split(split: Split, dataset: Dataset, file: Path, lists: Path | None) -> None:
    save_split(split, file)
    if lists is not None:
        write_lists(split, dataset, lists)
    sides: list[Side] = list(split.images.values())
    counts = ", ".join(f"{side} {sides.count(side)}" for side in SIDES)
    typer.echo(f"{file}: {counts} images")


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
        problem = str(error)
    except torch.OutOfMemoryError:
        problem = "the GPU's memory is full; compute a batch in parts with --set run.accumulate=2, or 4"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}; check the path, the permissions and the disk"
    print(f"train: {problem}", file=sys.stderr)
    sys.exit(2)


@contextmanager
def _prepared(recipe: Recipe, dataset: Dataset, split: Split, out: Path, device: str) -> Iterator[Run]:
    """The run, in the world of its processes, with what was chosen said once."""
    compute = choose_compute(device, recipe.run.precision)
    with joined_world(compute.device) as world:
        console = _console(world)
        run = Run(recipe, dataset, split, out, compute, console, world)
        sides = ", ".join(f"{side} {len(samples)}" for side, samples in run.samples.items())
        console.print(f"{dataset.name}: {sides} images, split {split.kind}, seed {split.seed}", highlight=False)
        processes = f" in {world.size} processes" if world.size > 1 else ""
        console.print(f"recipe {recipe.name} on {compute.device}{processes}, {compute.reason}", highlight=False)
        yield run


def _train(run: Run, tensorboard: bool) -> None:
    try:
        run.train(tensorboard=tensorboard)
    except KeyboardInterrupt:
        done = f"epoch {run.journal.done} is the last whole one: the same command goes on from {run.last}"
        none = "no epoch was finished: the same command begins anew"
        run.console.print(f"interrupted; {done if run.journal.done else none}", highlight=False)
        raise typer.Exit(130) from None


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
        _console(World()).print(text_table(grid.columns, grid.rows))


def _console(world: World) -> Console:
    return Console(width=None if sys.stdout.isatty() else 140, quiet=not world.leads)


def _overrides(named: Mapping[str, object]) -> list[str]:
    return [f"{key}={str(value).lower()}" for key, value in named.items() if value is not None]


if __name__ == "__main__":
    main()
