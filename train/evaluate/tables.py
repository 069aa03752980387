"""Metrics as tables and text, for the terminal and the report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bundle import Threshold
from train.evaluate.metrics import Metrics
from train.evaluate.part_metrics import PartMetrics
from train.evaluate.rates import FEW, Rate, rate
from train.evaluate.unsure import UnsurePoint


@dataclass(frozen=True)
class Grid:
    """A table of text cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table as Markdown, numbers to the right."""
        rule = ("---", *["--:"] * (len(self.columns) - 1))
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows)) + "\n"


COLUMNS = ("class", "images", "found", "false alarms", "recall", "precision", "F1", "AP", "IoU pooled", "IoU positives")
UNSURE_COLUMNS = ("unsure_margin", "sent to a person", "escapes caught", "escapes left", "good ones sent")
_BY_CHANCE = 0.6
"""AUROC below which scores are called no better than chance."""
_MARGINS_SHOWN = (0.05, 0.1, 0.2)


def class_rows(metrics: Metrics) -> list[tuple[str, ...]]:
    """One row per class, then their mean, then defect or not, under `COLUMNS`."""
    rows = []
    for one in metrics.classes:
        counts = (str(one.positives), str(one.found), str(one.false_alarms))
        shares = (one.recall, one.precision, one.f1, one.average_precision, one.iou_pooled, one.iou_positives)
        rows.append((one.name, *counts, *map(percent, shares)))
    means = (metrics.mean_average_precision, metrics.mean_iou_pooled, metrics.mean_iou_positives)
    rows.append(("mean of classes", "", "", "", percent(metrics.mean_recall), "", "", *map(percent, means)))
    union = (metrics.union.average_precision, metrics.union.iou_pooled, metrics.union.iou_positives)
    rows.append(("defect or not", "", "", "", "", "", "", *map(percent, union)))
    return rows


def metrics_table(metrics: Metrics, title: str) -> Group:
    """Metrics per class with the overall metrics below, for the terminal."""
    table = narrow_table(COLUMNS)
    rows = class_rows(metrics)
    for number, row in enumerate(rows, start=1):
        table.add_row(*row, end_section=number == len(metrics.classes))
    return Group(Text(title, style="italic"), table, Text("\n".join(sentences(metrics))))


def threshold_grid(before: Mapping[str, Threshold], chosen: Mapping[str, Threshold]) -> Grid:
    """Thresholds of each class, with the score threshold that they replace."""
    rows = ((name, before.get(name), limit) for name, limit in chosen.items())
    return Grid(
        ("class", "score before", "score", "mask level", "smallest area, px"),
        tuple(
            (
                name,
                "-" if old is None else f"{old.score:.4f}",
                f"{new.score:.4f}",
                str(new.level),
                f"{new.min_area_px:g}",
            )
            for name, old, new in rows
        ),
    )


def narrow_table(columns: Iterable[str]) -> Table:
    """An empty table that loses no text on a narrow terminal: headers wrap between words, names in the first column."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for number, column in enumerate(columns):
        least = max(map(len, column.split()), default=1) if number else None
        table.add_column(column, justify="right" if number else "left", overflow="fold", min_width=least)
    return table


def text_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """Plain rows for the terminal, numbers to the right."""
    table = narrow_table(columns)
    for row in rows:
        table.add_row(*row)
    return table


def percent(value: float | None) -> str:
    """A share in percent, or a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def share_text(value: float | None) -> str:
    """The same with its unit, for a sentence."""
    return "-" if value is None else f"{percent(value)} %"


def sentences(metrics: Metrics) -> list[str]:
    """Overall metrics as sentences: by picture, and by part if parts have several pictures."""
    share = metrics.false_rejects_at_no_escape
    at_no_escape = percent(None) if share is None else rate_text(rate(round(share * metrics.good), metrics.good))
    few = f"{100 * FEW:.0f} %"
    return [
        f"escapes {rate_text(metrics.escapes)}; false rejects {rate_text(metrics.false_rejects)}",
        f"false rejects at no escape {at_no_escape}; "
        f"at {few} escapes {share_text(metrics.false_rejects_at_few_escapes)}; "
        f"escapes at {few} false rejects {share_text(metrics.escapes_at_few_false_rejects)}",
        f"AUROC of defect or not {share_text(metrics.union.area_under_roc)}",
        f"accuracy over image x class pairs {share_text(metrics.accuracy_pairs)}; mean IoU over pairs "
        f"{share_text(metrics.mean_iou_pairs)} (predicting nothing: "
        f"{share_text(metrics.mean_iou_pairs_predicting_nothing)})",
        *(part_sentences(metrics.several_views) if metrics.several_views is not None else ()),
        *unsure_sentence(metrics.unsure),
    ]


def untrained(metrics: Metrics) -> str | None:
    """Say that a network looks untrained or its thresholds are of no use, with what helps; else None."""
    area, advice = metrics.union.area_under_roc, "train longer (--epochs), with a larger input, or with more parts"
    if metrics.escapes.total and metrics.escapes.count == metrics.escapes.total:
        return f"no defect of these {metrics.escapes.total} pictures is found: {advice}"
    if area is not None and area < _BY_CHANCE:
        return f"the scores hardly tell defects from good parts (AUROC {percent(area)} %, 50 by chance): {advice}"
    if metrics.false_rejects.total and metrics.false_rejects.count == metrics.false_rejects.total:
        return (
            f"all {metrics.false_rejects.total} good pictures are rejected: choose other thresholds "
            "(--set thresholds.choose, .shared, .limit)"
        )
    return None


def unsure_sentence(points: Iterable[UnsurePoint]) -> list[str]:
    """The share of UNSURE that some margins would give, in words."""
    shown = [point for point in points if point.margin in _MARGINS_SHOWN]
    shares = (
        f"{point.margin:g} {point.sent} of {point.cases} ({share_text(point.sent / point.cases)})" for point in shown
    )
    return [f"UNSURE at an unsure_margin of {', '.join(shares)}"] if shown else []


def unsure_grid(points: Iterable[UnsurePoint]) -> Grid:
    """The effect of all margins as a table."""
    return Grid(UNSURE_COLUMNS, tuple(map(_unsure_cells, points)))


def _unsure_cells(point: UnsurePoint) -> tuple[str, ...]:
    caught = f"{point.caught} of {point.escapes}"
    sent = f"{point.sent} of {point.cases} ({share_text(point.sent / point.cases)})"
    return f"{point.margin:g}", sent, caught, str(point.escapes - point.caught), str(point.sent - point.caught)


def part_sentences(parts: PartMetrics) -> list[str]:
    """The measures by part, in words."""
    few = f"{100 * FEW:.0f} %"
    pictures = [
        f"{what} {percent(interval[0])} to {share_text(interval[1])}"
        for what, interval in (("escapes", parts.escaped_pictures), ("false rejects", parts.rejected_pictures))
        if interval is not None
    ]
    return [
        f"by part, of up to {parts.most_views} views each: escapes {rate_text(parts.escapes)}; "
        f"false rejects {rate_text(parts.false_rejects)}",
        f"by part: false rejects at no escape {share_text(parts.false_rejects_at_no_escape)}, "
        f"at {few} escapes {share_text(parts.false_rejects_at_few_escapes)}; "
        f"escapes at {few} false rejects {share_text(parts.escapes_at_few_false_rejects)}; "
        f"AP of defect or not {share_text(parts.average_precision)}, AUROC {share_text(parts.area_under_roc)}",
        f"by picture, 95 % with whole parts drawn: {', '.join(pictures)}",
    ]


def rate_text(rate: Rate) -> str:
    """A rate with its counts and interval as text; a dash where there are no cases."""
    if not rate.total:
        return "- (no cases)"
    return f"{rate.counts} ({share_text(rate.value)}, 95 %: {percent(rate.low)} to {percent(rate.high)})"
