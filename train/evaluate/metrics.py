"""Metrics of an evaluation under their standard names, beside the columns of the paper.

The paper's "mAP" is the accuracy over image x class pairs, its "AP" the recall per class, and its "mIoU" counts an
empty prediction on an empty mask as 1, so that predicting nothing scores 93.9 % there. `Metrics.paper` holds these
columns under the paper's names. A measure that no image supports is None, never 0 or 100 %.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field
from sklearn.metrics import average_precision_score

from bundle import FrozenModel
from train.errors import DataError, RecipeError
from train.evaluate.part_metrics import PartMetrics, measure_parts
from train.evaluate.prediction import Prediction
from train.evaluate.rates import Rate, area_under_roc, escapes_at, false_rejects_at, rate
from train.evaluate.unsure import UnsurePoint, unsure_curve

GOOD = "good"


class ClassMetrics(FrozenModel):
    """Metrics of one class over all images; None where undefined, such as a recall without positives."""

    name: str
    positives: int
    """Images with the class."""
    found: int
    """True positives of the decision, in images."""
    false_alarms: int
    """False positives of the decision, in images."""
    recall: float | None
    precision: float | None
    f1: float | None
    average_precision: float | None
    """Area under the precision-recall curve of the image's score."""
    iou_pooled: float | None
    """Sum of intersections by sum of unions, over all images."""
    iou_positives: float | None
    """Mean over the images with the class."""


class UnionMetrics(FrozenModel):
    """Binary metrics: the union of all classes, defect or good."""

    average_precision: float | None
    """By the largest score of an image."""
    iou_pooled: float | None
    iou_positives: float | None
    area_under_roc: float | None = None
    """By the largest score of an image; None in older files."""


class Metrics(FrozenModel):
    """Metrics of one evaluation. Shares are 0 to 1, the paper's columns percent; None where undefined."""

    images: int
    good: int
    pairs_without_outline: int
    """Positives with an empty truth mask; they count for scores and decisions, not for pixels."""
    accuracy_pairs: float | None
    """None without an image that has a defect."""
    mean_iou_pairs: float | None
    """An empty prediction on an empty mask counts as 1, unless no image has a true pixel of that class, such as a class
    whose defects vanish at the network's input: such a pair is left out."""
    mean_iou_pairs_predicting_nothing: float | None
    """The same of a network that predicts nothing."""
    mean_recall: float | None
    mean_average_precision: float | None
    mean_iou_pooled: float | None
    mean_iou_positives: float | None
    escapes: Rate
    """Defective images passed."""
    false_rejects: Rate
    """Good images rejected."""
    false_rejects_at_no_escape: float | None
    """False-reject rate at the one threshold on the largest score that gives no escape on these same images: a
    property of the scores, independent of the chosen thresholds."""
    false_rejects_at_few_escapes: float | None = None
    """The same at 5 % escapes; see `rates.false_rejects_at`."""
    escapes_at_few_false_rejects: float | None = None
    """Escape rate at the one threshold on the largest score that rejects 5 % of the good images."""
    classes: tuple[ClassMetrics, ...]
    union: UnionMetrics
    confusion_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth, columns the decision. An image with several classes counts once in each of their rows; the
    column is that class if it was found, else the found class of the largest score, else good."""
    paper: dict[str, float | list[float | None] | None] = Field(validation_alias=AliasChoices("paper", "document"))
    """The paper's columns under its own names, in percent; older files call this `document`."""
    parts: PartMetrics | None = None
    """The measures by part; None where the images' parts are not known."""
    unsure: tuple[UnsurePoint, ...] = ()
    """Effect of `unsure_margin`, by part where the parts are known, else by picture; empty in older files."""

    @property
    def several_views(self) -> PartMetrics | None:
        """The measures by part, where they are others than by picture: a part has several."""
        return self.parts if self.parts is not None and self.parts.most_views > 1 else None

    @property
    def found_and_outlined(self) -> float | None:
        """The mean of finding (average precision of defect or not) and outlining (IoU over positives)."""
        finding, outlining = self.union.average_precision, self.mean_iou_positives
        return None if finding is None or outlining is None else (finding + outlining) / 2

    def known(self, name: str) -> float | None:
        """The metric of a dotted name, such as `union.iou_pooled`; None if it has no data."""
        value: object = self
        for key in name.split("."):
            value = getattr(value, key) if value is not None else None
        return value if isinstance(value, float) else None

    def named(self, name: str) -> float:
        """The same, minus infinity for None."""
        value = self.known(name)
        return -np.inf if value is None else value


_BEST = frozenset({"found_and_outlined", *(f"union.{name}" for name in UnionMetrics.model_fields)}) | {
    prefix + name
    for prefix, model in (("", Metrics), ("parts.", PartMetrics))
    for name, field in model.model_fields.items()
    if field.annotation == float | None and not name.startswith(("false_rejects", "escapes"))
} - {"mean_iou_pairs_predicting_nothing"}


def check_best(name: str, where: str) -> None:
    """Raise RecipeError unless `Metrics.named` knows a metric of this dotted name of which more is better."""
    if name not in _BEST:
        raise RecipeError(f"{where}: run.best: found {name!r}, expected one of {', '.join(sorted(_BEST))}")


class _Columns:
    """The predictions stacked, [N, C] per field."""

    def __init__(self, predictions: Sequence[Prediction]):
        self.labels = np.stack([row.labels for row in predictions])
        self.outlined = np.stack([row.outlined for row in predictions])
        self.scores = np.stack([row.scores for row in predictions])
        self.found = np.stack([row.found for row in predictions])
        self.intersection = np.stack([row.intersection for row in predictions])
        self.union = np.stack([row.union for row in predictions])
        self.truth_area = np.stack([row.truth_area for row in predictions])
        self.any_intersection = np.array([row.any_intersection for row in predictions])
        self.any_union = np.array([row.any_union for row in predictions])
        alike = np.where(self.found, 0.0, 1.0)  # a class found without a pixel, where none is true, is wrong
        self.iou = np.where(self.union > 0, self.intersection / np.maximum(self.union, 1), alike)
        self.defective = np.asarray(self.labels.any(axis=1))
        self.rejected = np.asarray(self.found.any(axis=1))
        self.largest = self.scores.max(axis=1)


def measure(predictions: Iterable[Prediction], classes: Sequence[str]) -> Metrics:
    """All metrics of these predictions. Raises DataError if there are none."""
    rows = list(predictions)
    if not rows:
        raise DataError("evaluation: found no images, expected at least one; check the split and its side")
    table = _Columns(rows)
    per_class = tuple(_class_metrics(table, index, name) for index, name in enumerate(classes))
    accuracy = float((table.found == table.labels).mean()) if table.defective.any() else None
    iou, nothing = _pairs(table)
    return Metrics(
        images=len(rows),
        good=int((~table.defective).sum()),
        pairs_without_outline=int((~table.outlined).sum()),
        accuracy_pairs=accuracy,
        mean_iou_pairs=iou,
        mean_iou_pairs_predicting_nothing=nothing,
        mean_recall=_mean(one.recall for one in per_class),
        mean_average_precision=_mean(one.average_precision for one in per_class),
        mean_iou_pooled=_mean(one.iou_pooled for one in per_class),
        mean_iou_positives=_mean(one.iou_positives for one in per_class),
        escapes=rate(int((~table.rejected & table.defective).sum()), int(table.defective.sum())),
        false_rejects=rate(int((table.rejected & ~table.defective).sum()), int((~table.defective).sum())),
        false_rejects_at_no_escape=false_rejects_at(table.defective, table.largest, 0),
        false_rejects_at_few_escapes=false_rejects_at(table.defective, table.largest),
        escapes_at_few_false_rejects=escapes_at(table.defective, table.largest),
        classes=per_class,
        union=_union_metrics(table),
        confusion_names=(*classes, GOOD),
        confusion=_confusion(table),
        paper={
            "mAP (all classes)": _percent(accuracy),
            "AP (defective classes)": [_percent(one.recall) for one in per_class],
            "mIoU (all classes)": _percent(iou),
            "IoU (defective classes)": [_percent(one.iou_positives) for one in per_class],
        },
        parts=_parts(rows, table),
        unsure=() if any(row.lacking is None for row in rows) else unsure_curve(rows, all(row.part for row in rows)),
    )


def _parts(rows: Sequence[Prediction], table: _Columns) -> PartMetrics | None:
    names = [row.part for row in rows]
    return measure_parts(names, table.labels, table.rejected, table.scores) if all(names) else None


def _pairs(table: _Columns) -> tuple[float | None, float | None]:
    """Mean IoU over image x class pairs, of the predictions and of predicting nothing; None without a true pixel."""
    drawn = table.truth_area.any(axis=0)
    if not drawn.any():
        return None, None
    counted = table.outlined & (drawn | table.found)
    return float(table.iou[counted].mean()), float((table.truth_area == 0)[table.outlined & drawn].mean())


def _class_metrics(table: _Columns, index: int, name: str) -> ClassMetrics:
    labels, found, outlined = table.labels[:, index], table.found[:, index], table.outlined[:, index]
    hits, positives, alarms = int((labels & found).sum()), int(labels.sum()), int(found.sum())
    drawn = labels & outlined
    return ClassMetrics(
        name=name,
        positives=positives,
        found=hits,
        false_alarms=alarms - hits,
        recall=_share(hits, positives),
        precision=_share(hits, alarms),
        f1=_share(2 * hits, positives + alarms),
        average_precision=_average_precision(labels, table.scores[:, index]),
        iou_pooled=_share(int(table.intersection[outlined, index].sum()), int(table.union[outlined, index].sum())),
        iou_positives=float(table.iou[drawn, index].mean()) if drawn.any() else None,
    )


def _union_metrics(table: _Columns) -> UnionMetrics:
    outlined = table.outlined.all(axis=1)
    intersection, union = table.any_intersection, table.any_union
    drawn = table.defective & outlined
    return UnionMetrics(
        average_precision=_average_precision(table.defective, table.largest),
        iou_pooled=_share(int(intersection[outlined].sum()), int(union[outlined].sum())),
        iou_positives=float((intersection[drawn] / np.maximum(union[drawn], 1)).mean()) if drawn.any() else None,
        area_under_roc=area_under_roc(table.defective, table.largest),
    )


def _confusion(table: _Columns) -> tuple[tuple[int, ...], ...]:
    classes = table.labels.shape[1]
    counts = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    for labels, found, scores in zip(table.labels, table.found, table.scores, strict=True):
        strongest = int(np.where(found, scores, -1.0).argmax()) if found.any() else classes
        for truth in np.flatnonzero(labels) if labels.any() else [classes]:
            counts[truth, truth if truth < classes and found[truth] else strongest] += 1
    return tuple(tuple(row) for row in counts.tolist())


def _average_precision(labels: NDArray[Any], scores: NDArray[Any]) -> float | None:
    return float(average_precision_score(labels, scores)) if labels.any() else None


def _share(count: int, total: int) -> float | None:
    return count / total if total else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
