"""Pooled metrics of several runs, with the spread of each metric between runs."""

from collections.abc import Mapping
from statistics import fmean, stdev

from rich.console import Group
from rich.text import Text

from bundle import FrozenModel
from train.errors import DataError
from train.evaluate.metrics import Metrics
from train.evaluate.prediction_files import Predictions
from train.evaluate.rates import Rate, rate
from train.evaluate.tables import narrow_table, percent, rate_text

MEASURES = (
    "escapes.value", "false_rejects.value", "false_rejects_at_no_escape", "false_rejects_at_few_escapes",
    "escapes_at_few_false_rejects", "parts.escapes.value", "parts.false_rejects.value",
    "parts.false_rejects_at_no_escape", "parts.escapes_at_few_false_rejects", "parts.average_precision",
    "union.average_precision",
    "union.iou_pooled", "union.iou_positives", "accuracy_pairs", "mean_recall", "mean_average_precision",
    "mean_iou_pooled", "mean_iou_positives", "mean_iou_pairs", "mean_iou_pairs_predicting_nothing",
)  # fmt: skip
"""Metrics whose spread is shown, besides those of each class."""

_OF_A_CLASS = ("recall", "precision", "average_precision", "iou_pooled", "iou_positives")


class RunSpread(FrozenModel):
    """Spread of one metric over the runs."""

    values: tuple[float | None, ...]
    """In the order of the runs."""
    mean: float | None
    deviation: float | None
    """Standard deviation of a run (n - 1); None for fewer than two."""


class Pool(FrozenModel):
    """Pooled metrics of several runs."""

    images: int
    """Number of distinct images over all runs."""
    pooled: Metrics | None
    """Over all predictions; None if an image is in several runs. Its average precisions mix the scores of different
    networks, unlike those of `spread`."""
    recall: dict[str, Rate]
    """Per class of `pooled`; the interval assumes independent images, which exposures of one part are not."""
    spread: dict[str, RunSpread]
    runs: dict[str, Metrics]


def pool(runs: Mapping[str, Predictions]) -> Pool:
    """Pool the predictions of some runs, by name. Raises DataError if they have different classes."""
    classes = _classes(runs)
    metrics = {name: run.metrics() for name, run in runs.items()}
    rows = tuple(row for run in runs.values() for row in run.images)
    different = {row.image for row in rows}
    pooled = Predictions(classes, rows).metrics() if len(different) == len(rows) else None
    return Pool(
        images=len(different),
        pooled=pooled,
        recall={one.name: rate(one.found, one.positives) for one in pooled.classes} if pooled else {},
        spread=_spreads(metrics, classes),
        runs=metrics,
    )


def joined(runs: Mapping[str, Predictions]) -> Predictions:
    """The predictions of some runs together, such as folds.

    Raises DataError if they have different classes, or if two of them judged the same image.
    """
    classes = _classes(runs)
    seen: dict[str, str] = {}
    for name, run in runs.items():
        for row in run.images:
            if row.image in seen:
                raise DataError(
                    f"{name}: found {row.name}, which {seen[row.image]} judged too; name the folds of one split"
                )
            seen[row.image] = name
    return Predictions(classes, tuple(row for run in runs.values() for row in run.images))


def _classes(runs: Mapping[str, Predictions]) -> tuple[str, ...]:
    """The classes that all of them have."""
    first, classes = next((name, run.classes) for name, run in runs.items())
    for name, run in runs.items():
        if run.classes != classes:
            raise DataError(
                f"{name}: found the classes {', '.join(run.classes)}, expected those of {first}, "
                f"{', '.join(classes)}; pool runs on the same data"
            )
    return classes


def spread_table(made: Pool) -> Group:
    """One row per measure, one column per run, all in percent."""
    title = f"each of {len(made.runs)} runs, in percent; ± is the deviation of a run"
    table = narrow_table(("measure", *made.runs, "mean", "±"))
    for number, (name, one) in enumerate(made.spread.items(), start=1):
        cells = map(percent, (*one.values, one.mean, one.deviation))
        table.add_row(name.removesuffix(".value").replace("_", " "), *cells, end_section=number == len(MEASURES))
    return Group(Text(title, style="italic"), table)


def recall_lines(made: Pool) -> list[str]:
    """The pooled recall of each class with its interval, in words."""
    return [f"{name}: found {rate_text(one)}" for name, one in made.recall.items()]


def _spreads(metrics: Mapping[str, Metrics], classes: tuple[str, ...]) -> dict[str, RunSpread]:
    spreads = {name: _spread([one.known(name) for one in metrics.values()]) for name in MEASURES}
    for key in _OF_A_CLASS:
        for index, name in enumerate(classes):
            spreads[f"{name}: {key}"] = _spread([getattr(one.classes[index], key) for one in metrics.values()])
    return spreads


def _spread(values: list[float | None]) -> RunSpread:
    known = [value for value in values if value is not None]
    return RunSpread(
        values=tuple(values),
        mean=fmean(known) if known else None,
        deviation=stdev(known) if len(known) > 1 else None,
    )
