"""Comparison of several runs: the columns of the paper, then standard metrics."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from pydantic import ValidationError

from train.data.splits import Side, load_split
from train.errors import DataError
from train.evaluate.metrics import Metrics
from train.evaluate.runs.paper_table import PaperTable
from train.evaluate.tables import Grid, percent

PAPER_COLUMNS = (
    "accuracy over pairs (its mAP)", "recall (its AP)", "mean IoU over pairs (its mIoU)", "IoU over positives",
)  # fmt: skip
"""Columns of the paper's Table I, named by what they measure; the second and fourth hold one value per class."""

MEASURES: Mapping[str, str] = {
    "escapes": "escapes.value",
    "false rejects": "false_rejects.value",
    "escapes by part": "parts.escapes.value",
    "false rejects by part": "parts.false_rejects.value",
    "escapes at 5 % false rejects": "escapes_at_few_false_rejects",
    "false rejects at no escape": "false_rejects_at_no_escape",
    "AP of defect or not": "union.average_precision",
    "AP, mean of classes": "mean_average_precision",
    "IoU pooled, mean of classes": "mean_iou_pooled",
    "IoU over positives, mean of classes": "mean_iou_positives",
    "IoU of the union, pooled": "union.iou_pooled",
}


def load_metrics(run: Path, part: str) -> Metrics:
    """Metrics of a finished run on one part of the split. Raises DataError if its `metrics.json` lacks them."""
    path = run / "metrics.json" if run.is_dir() else run
    try:
        return Metrics.model_validate(json.loads(path.read_text(encoding="utf-8"))[part])
    except OSError as error:
        reason = error.strerror
    except KeyError:
        reason = f"found no metrics of the {part} part (a run with thresholds.folds learns the validation part)"
    except (ValueError, TypeError, ValidationError):
        reason = "found no metrics of a run"
    raise DataError(f"{path}: {reason}, expected the metrics.json of a finished run; finish it with the same `train`")


def other_images(runs: Mapping[str, Path], part: Side) -> Iterator[str]:
    """One remark per run that was measured on other images than the first; a run without its split is left out."""
    folders = {name: run if run.is_dir() else run.parent for name, run in runs.items()}
    splits = {name: load_split(run / "split.json") for name, run in folders.items() if (run / "split.json").exists()}
    images = {name: {image for image, side in split.images.items() if side == part} for name, split in splits.items()}
    first = next(iter(images), None)
    for name, own in images.items():
        if first is not None and own != images[first]:
            both = len(own & images[first])
            yield (
                f"{name}: measured on other images than {first} ({both} of its {len(own)} in the {part} part are the "
                f"same): the figures cannot be compared; use one split file for both, or `train pool` for folds"
            )


def paper_grid(runs: Mapping[str, Metrics], table: PaperTable | None = None) -> Grid:
    """The paper's columns of each run, in percent, below the rows of `table`."""
    theirs = [(f"paper: {name}", *map(_cell, row)) for name, row in (table.rows if table else {}).items()]
    ours = [(name, *map(_cell, metrics.paper.values())) for name, metrics in runs.items()]
    return Grid(("run", *PAPER_COLUMNS), (*theirs, *ours))


def measures_grid(runs: Mapping[str, Metrics]) -> Grid:
    """`MEASURES` of each run in percent."""
    rows = ((name, *(percent(one.known(key)) for key in MEASURES.values())) for name, one in runs.items())
    return Grid(("run", *MEASURES), tuple(rows))


def mean_grid(groups: Mapping[str, Sequence[Metrics]]) -> Grid:
    """`MEASURES` of groups of runs in percent: mean and, of several runs, standard deviation of a run (n - 1)."""
    rows = (
        (name, str(len(runs)), *(_mean_cell([one.known(key) for one in runs]) for key in MEASURES.values()))
        for name, runs in groups.items()
    )
    return Grid(("setting", "runs", *MEASURES), tuple(rows))


def _mean_cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return percent(known[0] if known else None)
    return f"{percent(fmean(known))} ± {percent(stdev(known))}"


def _cell(value: float | Sequence[float | None] | None) -> str:
    """A value in percent, or one per class."""
    if value is None:
        return _short(None)
    return f"{value:.2f}" if isinstance(value, float | int) else ", ".join(_short(one) for one in value)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
