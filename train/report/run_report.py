"""Report of a training run: metrics, curves and example parts in one HTML file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import encode_png
from train.data.image_set import ImageSet
from train.data.splits import part_counts
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import Outputs
from train.evaluate.part_metrics import group, worst
from train.evaluate.prediction_files import Predictions
from train.evaluate.runs.paper_table import TABLE_I
from train.evaluate.tables import COLUMNS, UNSURE_COLUMNS, class_rows, percent, sentences, unsure_grid
from train.evaluate.thresholds import score_margins
from train.evaluate.unsure import unsure_curve
from train.models.checkpoint import Meta
from train.report.figures import class_curves, outlined_picture, precision_recall, threshold_curve, training_curves
from train.report.page import heading, page, paragraph, picture, preformatted, table, thumbnail

SHOWN = 6
"""Example parts per group."""


@dataclass(frozen=True)
class PartEvaluation:
    """Evaluation of a checkpoint on one part of the split."""

    images: ImageSet
    outputs: Outputs
    predictions: Predictions
    metrics: Metrics


def write_report(meta: Meta, history: Sequence[dict[str, Any]], test: PartEvaluation) -> str:
    """The report as HTML; `test` is the evaluation of the best checkpoint on the test part."""
    classes, trained = meta.classes, _trained(meta)
    return page(
        f"{meta.recipe.name} on {meta.data}",
        [
            paragraph(f"{trained} All figures are of the test part; split {meta.split.kind}, seed {meta.split.seed}."),
            heading("Metrics"),
            table(COLUMNS, class_rows(test.metrics)),
            *map(paragraph, sentences(test.metrics)),
            *(_paper_columns(test.metrics) if meta.classes == TABLE_I.classes else ()),
            heading("Confusion matrix"),
            paragraph("Rows are the truth, columns the decision."),
            _confusion_table(test.metrics),
            *(_precision_recall(classes, test) if test.images.labels.any() else ()),
            heading("Thresholds"),
            paragraph(
                "Escapes and false rejects by part, if the score thresholds of all classes are shifted by the same "
                "log-odds: to the right higher thresholds. `edge-export thresholds` makes such a shift for a goal."
            ),
            picture(threshold_curve(*_margins(meta, test)), "share of parts over the shift of the thresholds"),
            heading("Unsure margin"),
            paragraph("Effect of unsure_margin in line.toml, by part."),
            table(UNSURE_COLUMNS, unsure_grid(unsure_curve(test.predictions.images, by_part=True)).rows),
            *(_training(meta, history) if history else ()),
            heading("Example parts"),
            paragraph("Green: truth. Red: prediction. Ordered by the IoU of defect or not."),
            *_examples(meta, test),
            heading("Provenance"),
            preformatted(json.dumps(_provenance(meta), indent=1)),
        ],
    )


def _trained(meta: Meta) -> str:
    recipe = meta.recipe
    if recipe.good_only:
        return "Learned from good parts alone, in one pass."
    if recipe.network.one_pass:
        return "Fitted to the features of a frozen encoder."
    if recipe.network.members:
        return "Networks of finished runs, joined."
    return f"Epoch {meta.epoch} of {recipe.run.epochs}, the best on the validation part by {recipe.run.best}."


def _paper_columns(metrics: Metrics) -> list[str]:
    """The paper's columns of this run above the paper's rows; for its own data set."""
    rows = [("this run", *map(_numbers, metrics.paper.values()))]
    rows += [(name, *map(_numbers, values)) for name, values in TABLE_I.rows.items()]
    note = (
        "Columns of the paper under its names: mAP is the accuracy over image x class pairs, AP the recall per class, "
        "and mIoU counts an empty prediction on an empty mask as 1. The paper's random split has exposures of one tile "
        "on both sides, and its class order is not known."
    )
    return [paragraph(note), table(("", *metrics.paper), rows)]


def _precision_recall(classes: Sequence[str], test: PartEvaluation) -> list[str]:
    curves = precision_recall(test.outputs, test.images, classes)
    return [heading("Precision and recall"), picture(curves, "precision over recall, per class")]


def _training(meta: Meta, history: Sequence[dict[str, Any]]) -> list[str]:
    return [
        heading("Training"),
        picture(training_curves(history, meta.recipe.run.best), "training loss and validation metrics"),
        picture(class_curves(history, meta.classes), "validation loss and guided crops, per class"),
    ]


def _confusion_table(metrics: Metrics) -> str:
    names = metrics.confusion_names
    return table(("", *names), [(name, *row) for name, row in zip(names, metrics.confusion, strict=True)])


def _examples(meta: Meta, test: PartEvaluation) -> list[str]:
    """Best, median and worst of the defective pictures, none of them twice, then the good ones of largest scores."""
    rows = test.predictions.images
    overlap = [row.any_intersection / row.any_union if row.any_union else None for row in rows]
    defective = sorted((i for i, row in enumerate(rows) if row.labels.any()), key=lambda i: -(overlap[i] or 0))
    good = sorted((i for i, row in enumerate(rows) if not row.labels.any()), key=lambda i: -float(rows[i].scores.max()))
    middle = len(defective) // 2 - SHOWN // 2
    by_overlap = {
        "best": defective[:SHOWN],
        "median": defective[middle : middle + SHOWN],
        "worst": defective[-SHOWN:],
    }
    if len(defective) <= 3 * SHOWN:
        by_overlap = {"defective parts, the best first": defective}
    groups = by_overlap | {"good parts with the largest scores": good[:SHOWN]}
    shown = []
    for name, indices in groups.items():
        shown += [heading(name, level=3), *(_example(meta, test, index, overlap[index]) for index in indices)]
    return shown


def _example(meta: Meta, test: PartEvaluation, index: int, overlap: float | None) -> str:
    row, images = test.predictions.images[index], test.images
    thresholds = [meta.thresholds[name] for name in meta.classes]
    truth_masks, masks = images.masks(index), test.outputs.masks[index]
    png = encode_png(outlined_picture(images.images[index], truth_masks, masks, row.found, thresholds))
    truth = ", ".join(name for name, has in zip(meta.classes, row.labels, strict=True) if has) or "good"
    found = [f"{n} {s:.2f}" for n, s, f in zip(meta.classes, row.scores, row.found, strict=True) if f] or ["nothing"]
    return thumbnail(png, f"{row.name}: {truth}; found {', '.join(found)}; IoU {percent(overlap)}")


def _margins(meta: Meta, test: PartEvaluation) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distance of each part's score from its threshold in log-odds, [parts], with whether it is defective."""
    numbers = group(test.images.parts, test.images.labels)
    each = score_margins(test.outputs, meta.thresholds, meta.input)
    return worst(each, numbers), worst(np.asarray(test.images.labels.any(axis=1)), numbers)


def _provenance(meta: Meta) -> dict[str, Any]:
    content = meta.model_dump(mode="json", exclude={"metrics", "split", "example"})
    counts = part_counts(meta.split)
    return content | {"split": {"kind": meta.split.kind, "seed": meta.split.seed, "images": counts}}


def _numbers(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_numbers(one) for one in value)
    return f"{value:.1f}" if isinstance(value, (int, float)) else "-"
