"""Subcommands of `train` that read predictions: `suspects`, `unsure`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train.cli.options import MarkdownOption, console_for, named_runs, print_grid
from train.errors import DataError

if TYPE_CHECKING:  # it loads scipy and scikit-learn
    from train.evaluate.prediction_files import Predictions

RunsArgument = Annotated[list[Path], typer.Argument(help="Folders of finished runs, or their predictions.json.")]


def suspects(
    runs: RunsArgument,
    data: Annotated[Path, typer.Option(help="Folder of their images.")],
    out: Annotated[Path, typer.Option(help="Folder to write: suspects.html and relabel.csv.")],
    confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Smallest score of a prediction against the label.")
    ] = 0.9,
) -> None:
    """List doubtful labels, with the pictures and a file of corrections to fill in.

    Use cross-validation folds, whose networks never saw the parts they predict. Copy the filled relabel.csv into the
    data set's folder: every command applies it.
    """
    from bundle import write_whole
    from train.data.anomaly import is_anomaly
    from train.data.readers import read_dataset
    from train.data.relabel import FILE, write_corrections
    from train.evaluate.suspects import find_suspects
    from train.report.suspects_page import suspects_page

    predictions = _together(runs)
    dataset = read_dataset(data, one_class=is_anomaly(predictions.classes))
    found = find_suspects(predictions, dataset, confidence)
    out.mkdir(parents=True, exist_ok=True)
    corrections, page = out / FILE, out / "suspects.html"
    if corrections.exists():
        raise DataError(f"{corrections}: found a file that may hold corrections; name another --out, or move it")
    write_corrections((one.line() for one in found), corrections)
    write_whole(page, suspects_page(found, f"Doubtful labels: {dataset.name}"))
    parts = len({one.sample.part for one in found})
    console_for().print(f"{len(found)} pictures of {parts} parts: {page}, {corrections}", highlight=False)


def unsure(runs: RunsArgument, markdown: MarkdownOption = False) -> None:
    """Show the trade-off of unsure_margin in line.toml: escapes caught, and parts sent to a person."""
    from train.evaluate.tables import unsure_grid
    from train.evaluate.unsure import unsure_curve

    predictions = _together(runs)
    for what, by_part in (("pictures", False), ("parts, by their worst picture", True)):
        typer.echo(f"{what}:")
        print_grid(unsure_grid(unsure_curve(predictions.images, by_part)), markdown)


def _together(runs: list[Path]) -> "Predictions":
    """The predictions of all runs. Raises DataError if two of them predicted the same image."""
    from train.evaluate.prediction_files import FILE, load_predictions
    from train.evaluate.runs.pooling import joined

    files = {name: path / FILE if path.is_dir() else path for name, path in named_runs(runs).items()}
    return joined({name: load_predictions(file) for name, file in files.items()})
