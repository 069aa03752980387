"""Metrics as a table on the terminal."""

from rich.table import Table

from train.metrics import Metrics, Rate

_COLUMNS = ("class", "images", "found", "false alarms", "recall", "precision", "AP", "IoU pooled", "IoU positives")


def metrics_table(metrics: Metrics, title: str) -> Table:
    """One row per class, then the measures over all of them."""
    table = Table(title=title, title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "class" else "right")
    for one in metrics.classes:
        counts = (str(one.positives), str(one.found), str(one.false_alarms))
        shares = (one.recall, one.precision, one.average_precision, one.iou_pooled, one.iou_positives)
        table.add_row(one.name, *counts, *map(percent, shares))
    means = (None, metrics.mean_average_precision, metrics.mean_iou_pooled, metrics.mean_iou_positives)
    table.add_section()
    table.add_row("mean of classes", "", "", "", percent(metrics.mean_recall), *map(percent, means))
    union = metrics.union
    last = (union.average_precision, union.iou_pooled, union.iou_positives)
    table.add_row("defect or not", "", "", "", "", "", *map(percent, last))
    table.caption = "\n".join(_sentences(metrics))
    table.caption_justify = "left"
    return table


def percent(value: float | None) -> str:
    """A share in percent, or a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f}"


def _sentences(metrics: Metrics) -> list[str]:
    nothing = percent(metrics.mean_iou_pairs_predicting_nothing)
    return [
        f"escapes {_rate(metrics.escapes)}; false rejects {_rate(metrics.false_rejects)}; "
        f"false rejects at no escape {percent(metrics.false_rejects_at_no_escape)} %",
        f"accuracy over image x class pairs {percent(metrics.accuracy_pairs)} %; "
        f"mean IoU over pairs {percent(metrics.mean_iou_pairs)} % (predicting nothing: {nothing} %)",
    ]


def _rate(rate: Rate) -> str:
    return f"{rate.count} of {rate.total} ({percent(rate.value)} %, 95 %: {percent(rate.low)} to {percent(rate.high)})"
