"""Several runs beside each other: the source document's columns, then every measure under its true name."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from train.errors import DataError
from train.evaluate.metrics import Metrics
from train.evaluate.paper_table import DocumentTable
from train.evaluate.tables import Grid, percent

DOCUMENT_COLUMNS = (
    "accuracy over pairs (its mAP)", "recall (its AP)", "mean IoU over pairs (its mIoU)", "IoU over positives",
)  # fmt: skip
"""Table I's four, with what they are; the second and the fourth hold a number per class."""

MEASURES: Mapping[str, str] = {
    "escapes": "escapes.value",
    "false rejects": "false_rejects.value",
    "false rejects at no escape": "false_rejects_at_no_escape",
    "AP of defect or not": "union.average_precision",
    "AP, mean of classes": "mean_average_precision",
    "IoU pooled, mean of classes": "mean_iou_pooled",
    "IoU over positives, mean of classes": "mean_iou_positives",
    "IoU of the union, pooled": "union.iou_pooled",
}


def load_measures(run: Path, part: str) -> Metrics:
    """What a finished run measured on one part; raises DataError if its `metrics.json` does not say."""
    path = run / "metrics.json" if run.is_dir() else run
    try:
        return Metrics.model_validate(json.loads(path.read_text(encoding="utf-8"))[part])
    except OSError as error:
        reason = error.strerror
    except KeyError:
        reason = f"no measures of the {part} part"
    except (ValueError, TypeError, ValidationError):
        reason = "not the measures of a run"
    raise DataError(f"{path}: {reason}, expected the metrics.json of a finished run; finish it with the same `train`")


def document_grid(runs: Mapping[str, Metrics], table: DocumentTable | None = None) -> Grid:
    """The document's columns of each run in percent, after the document's own rows where they are wanted."""
    theirs = [(f"document: {name}", *map(_cell, row)) for name, row in (table.rows if table else {}).items()]
    ours = [(name, *map(_cell, metrics.document.values())) for name, metrics in runs.items()]
    return Grid(("run", *DOCUMENT_COLUMNS), (*theirs, *ours))


def measures_grid(runs: Mapping[str, Metrics]) -> Grid:
    """`MEASURES` of each run in percent."""
    rows = ((name, *(percent(_known(one.named(key))) for key in MEASURES.values())) for name, one in runs.items())
    return Grid(("run", *MEASURES), tuple(rows))


def _cell(value: float | Sequence[float | None]) -> str:
    """A number in percent, or one per class."""
    return f"{value:.2f}" if isinstance(value, float | int) else ", ".join(_short(one) for one in value)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _known(value: float) -> float | None:
    return None if value == float("-inf") else value
