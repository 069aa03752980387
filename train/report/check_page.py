"""HTML page of the checks of a data set, with pictures."""

from collections.abc import Iterator

import cv2
import numpy as np

from bundle import encode_png
from train.data.check.checks import DataReport
from train.data.check.findings import Finding, gathered
from train.data.check.split_counts import side_counts
from train.data.dataset import Sample
from train.errors import DataError
from train.report.page import folded, heading, page, paragraph, table, thumbnail

_SIDE_PX = 320
_SHOWN = 6
"""Pictures per class, and per finding."""


def check_page(report: DataReport) -> str:
    """The findings with their pictures, the counts, and examples of each class with their outlines."""
    dataset = report.dataset
    return page(f"Data set {dataset.name}", _parts(report))


def _parts(report: DataReport) -> Iterator[str]:
    yield paragraph(
        f"{len(report.dataset.samples)} images, {len(report.problems)} problems, {len(report.warnings)} warnings",
        "bad" if report.problems else "good",
    )
    if report.split is not None:
        yield heading(f"Split {report.split.kind}, seed {report.split.seed}: images (parts)")
        yield table(side_columns(report), side_counts(report.split, report.dataset))
    for title, findings in (("Problems", report.problems), ("Warnings", report.warnings)):
        yield heading(title)
        yield from _findings(findings, report) if findings else [paragraph("none")]
    for index, name in enumerate(report.dataset.classes):
        yield heading(f"Class {name}")
        having = [sample for sample in report.dataset.samples if sample.labels[index]]
        yield from (_outlined(sample, index) for sample in having[:: max(1, len(having) // _SHOWN)][:_SHOWN])


def side_columns(report: DataReport) -> tuple[str, ...]:
    """Columns of the table of `side_counts`."""
    return ("part of the split", "images", "parts", "good", *report.dataset.classes)


def _findings(findings: list[Finding], report: DataReport) -> Iterator[str]:
    known = {sample.path: sample for sample in report.dataset.samples}
    for finding in gathered(findings):
        yield paragraph(finding.text, "bad" if finding.is_problem else "")
        yield from (_outlined(known[path], None) for path in finding.paths[:_SHOWN] if path in known)
        if finding.listed:
            yield folded(f"all {len(finding.listed)}", "\n".join(finding.listed))


def _outlined(sample: Sample, index: int | None) -> str:
    """A small picture with the outline of one class, or of all."""
    try:
        frame = sample.load_image()
        masks = sample.load_masks(*frame.shape[:2])
    except DataError as error:
        return paragraph(str(error), "bad")
    mask = np.asarray(masks.any(axis=0) if index is None else masks[index], dtype=np.uint8)
    colour = frame.copy() if frame.ndim == 3 else np.dstack([frame] * 3)
    scale = _SIDE_PX / max(frame.shape[:2])
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    small = cv2.resize(colour, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = [np.rint(outline * scale).astype(np.int32) for outline in outlines]
    cv2.drawContours(small, drawn, -1, (255, 0, 0), 1)
    return thumbnail(encode_png(small.astype(np.uint8)), sample.path.name)
