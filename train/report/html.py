"""The report of a run: one HTML file that needs nothing else."""

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from train.data.image_set import ImageSet
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import Outputs
from train.evaluate.paper_table import TABLE_I
from train.evaluate.prediction_files import Judged
from train.evaluate.tables import COLUMNS, class_rows, percent, sentences
from train.models.checkpoint import Meta
from train.report.figures import class_curves, outlined_part, precision_recall, training_curves

SHOWN = 6
"""Parts in each row of the sheet."""

_STYLE = """
body { font-family: sans-serif; max-width: 70em; margin: 2em auto; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border: 1px solid #ccc; padding: .25em .6em; text-align: right }
td:first-child, th:first-child { text-align: left } figure { display: inline-block; margin: .3em; width: 10em }
figure img { width: 100% } figcaption { font-size: 75% } pre { background: #f6f6f6; padding: 1em; overflow: auto }
"""


@dataclass(frozen=True)
class Findings:
    """What the best checkpoint says of the test part."""

    images: ImageSet
    outputs: Outputs
    judged: Judged
    metrics: Metrics


def write_report(meta: Meta, history: Sequence[dict[str, Any]], findings: Findings) -> str:
    """The whole report as HTML."""
    classes = meta.classes
    body = [
        f"<h1>{_text(meta.recipe.name)} on {_text(meta.data)}</h1>",
        f"<p>Epoch {meta.epoch} of {meta.recipe.run.epochs}, the best of the validation part by "
        f"{meta.recipe.run.best}. All figures of the test part, split {meta.split.kind}, seed {meta.split.seed}.</p>",
        "<h2>Measures</h2>",
        _table(COLUMNS, class_rows(findings.metrics)),
        *(f"<p>{_text(sentence)}</p>" for sentence in sentences(findings.metrics)),
        _document_table(findings.metrics, meta),
        "<h2>Confusion</h2><p>Rows are the truth, columns the decision.</p>",
        _confusion_table(findings.metrics),
        "<h2>Precision and recall</h2>",
        _image(precision_recall(findings.outputs, findings.images, classes)),
        "<h2>Training</h2>",
        _image(training_curves(history, meta.recipe.run.best)),
        _image(class_curves(history, classes)),
        "<h2>Parts</h2><p>Green: truth. Red: found. By the overlap of defect or not.</p>",
        _sheet(meta, findings),
        "<h2>Made from</h2>",
        f"<pre>{_text(json.dumps(_origin(meta), indent=1))}</pre>",
    ]
    head = f"<meta charset='utf-8'><title>{_text(meta.recipe.name)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _document_table(metrics: Metrics, meta: Meta) -> str:
    """The document's own columns, ours first; its rows only where the classes are its own."""
    rows: list[Sequence[object]] = [("this run", *(_numbers(value) for value in metrics.document.values()))]
    if meta.classes == TABLE_I.classes:
        rows += [(name, *map(_numbers, values)) for name, values in TABLE_I.rows.items()]
    note = (
        "<p>The source document's columns under its own names: its mAP is the accuracy over image x class pairs, its "
        "AP the recall per class, its mIoU counts empty on empty as 1. Its random split has exposures of one tile on "
        "both sides, and its class order is not known.</p>"
    )
    return note + _table(("", *metrics.document), rows)


def _confusion_table(metrics: Metrics) -> str:
    names = metrics.confusion_names
    return _table(("", *names), [(name, *row) for name, row in zip(names, metrics.confusion, strict=True)])


def _sheet(meta: Meta, findings: Findings) -> str:
    """Best, median and worst of the defective parts, then the good ones with the largest scores."""
    rows = findings.judged.images
    overlap = [row.any_intersection / max(row.any_union, 1) for row in rows]
    defective = sorted((i for i, row in enumerate(rows) if row.labels.any()), key=lambda i: -overlap[i])
    good = sorted((i for i, row in enumerate(rows) if not row.labels.any()), key=lambda i: -float(rows[i].scores.max()))
    middle = max(0, len(defective) // 2 - SHOWN // 2)
    groups = {
        "best": defective[:SHOWN],
        "median": defective[middle : middle + SHOWN],
        "worst": defective[-SHOWN:],
        "good parts with the largest scores": good[:SHOWN],
    }
    return "".join(
        f"<h3>{name}</h3>" + "".join(_part(meta, findings, index, overlap[index]) for index in indices)
        for name, indices in groups.items()
    )


def _part(meta: Meta, findings: Findings, index: int, overlap: float) -> str:
    row, images = findings.judged.images[index], findings.images
    thresholds = [meta.thresholds[name] for name in meta.classes]
    png = outlined_part(images.images[index], images.masks(index), findings.outputs.masks[index], row.found, thresholds)
    truth = ", ".join(name for name, has in zip(meta.classes, row.labels, strict=True) if has) or "good"
    found = [f"{n} {s:.2f}" for n, s, f in zip(meta.classes, row.scores, row.found, strict=True) if f] or ["nothing"]
    caption = f"{row.name}: {truth}; found {', '.join(found)}; IoU {percent(overlap)}"
    return f"<figure>{_image(png)}<figcaption>{_text(caption)}</figcaption></figure>"


def _origin(meta: Meta) -> dict[str, Any]:
    content = meta.model_dump(mode="json", exclude={"metrics", "split"})
    counts = {side: list(meta.split.images.values()).count(side) for side in ("train", "val", "test")}
    return content | {"split": {"kind": meta.split.kind, "seed": meta.split.seed, "images": counts}}


def _numbers(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_numbers(one) for one in value)
    return f"{value:.1f}" if isinstance(value, (int, float)) else "-"


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in header)
    lines = ("".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _image(png: str) -> str:
    return f"<img alt='' src='data:image/png;base64,{png}'>"


def _text(value: object) -> str:
    return html.escape(str(value))
