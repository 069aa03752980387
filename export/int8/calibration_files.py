"""Files of a calibration: the report, and the bundle if it passed the gate."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import Image, Threshold, encode_png, write_bundle, write_whole
from bundle.outlines import colour_of, draw_outlines, enlarged, outlines_of
from export.errors import GateError
from export.int8.calibrate import CalibrationResult
from export.int8.report import CalibrationReport
from train.data.image_set import ImageSet
from train.evaluate.metrics import Metrics
from train.evaluate.tables import share_text
from train.report.page import heading, page, paragraph, picture, table

PICTURES = 24
"""Changed verdicts shown in the report."""


def write_calibration(result: CalibrationResult, images: ImageSet, out: Path, folder: Path) -> list[str]:
    """Write the bundle to `out` and the report to `folder`; return the lines of the summary.

    images: those of the gate. Raises GateError, with the report written but no bundle, if it failed the gate.
    """
    if result.objection is not None:
        _write_report(result, result.report, images, folder)
        tried = ", ".join(result.report.steps[-1].kept)
        raise GateError(
            f"{out}: not written: {result.objection}, with {tried or 'no layer'} kept in float; see "
            f"{folder / 'calibration.html'}, calibrate on more pictures, or stay with the float bundle"
        )
    sealed = write_bundle(out, result.draft.manifest, result.draft.files)
    report = result.report.model_copy(update={"bundle_id": sealed.id})
    _write_report(result, report, images, folder)
    before, after = (share_text(metrics.known(report.metric)) for metrics in (report.before, report.after))
    kept = [layer.name for layer in report.layers if not layer.quantised]
    ranks = "" if report.rank_agreement is None else f", ranks of the scores agree by {report.rank_agreement:.3f}"
    return [
        f"bundle {sealed.name} (int8, id {sealed.id[:12]}) in {out}, report in {folder}",
        f"ranges by {report.method} on {report.calibrated_on}; in float: {', '.join(kept)}",
        f"on {report.judged_on}: {report.metric} {before} -> {after}, escapes {report.before.escapes.count} -> "
        f"{report.after.escapes.count}, {len(report.changed)} changed verdicts{ranks}",
    ]


def _write_report(result: CalibrationResult, report: CalibrationReport, images: ImageSet, folder: Path) -> None:
    limits = list(result.draft.manifest.thresholds.values())
    pictures = [
        _side_by_side(images.images[place], [judged.outputs.masks[place] for judged in result.judged], limits)
        for place in (change.image for change in report.changed[:PICTURES])
    ]
    write_whole(folder / "calibration.json", report.model_dump_json(indent=1) + "\n")
    write_whole(folder / "calibration.html", calibration_page(report, pictures))


def calibration_page(report: CalibrationReport, pictures: Sequence[bytes]) -> str:
    """Write the report as HTML; `pictures` are PNGs of the first changed verdicts."""
    return page(f"INT8 calibration of {report.source}", _parts(report, pictures))


def _parts(report: CalibrationReport, pictures: Sequence[bytes]) -> Iterator[str]:
    yield _verdict(report)
    yield paragraph(
        f"{report.date}. Source {report.source_id[:12]}, new bundle {(report.bundle_id or 'none')[:12]}. "
        f"Ranges by {report.method} on {report.calibrated_on}; weights of {report.weight_bits} bits, "
        f"the rest of the graph in {report.around}."
    )
    yield from (paragraph(f"Warning: {warning}", "bad") for warning in report.warnings)
    yield heading("Before and after")
    if not report.labelled:
        yield paragraph("No labels were given: the float network's decisions stand for the truth.")
    yield paragraph(f"On {report.judged_on}.")
    if report.rank_agreement is not None:
        yield paragraph(f"Pairs of images in the same order by their scores: {report.rank_agreement:.1%}.")
    yield table(("measure", "before", "after"), _measures(report.before, report.after))
    yield table(("class", "images", "found", "now", "IoU", "now", "AP", "now"), _classes(report.before, report.after))
    yield heading("Tries at the gate")
    yield table(
        ("kept in float", report.metric, "escapes", "outcome"),
        ((", ".join(s.kept) or "the outputs", s.value, s.escapes, s.objection or "passed") for s in report.steps),
    )
    yield heading("Methods to choose the ranges")
    yield paragraph("Every layer in INT8, against the float network, on calibration frames.")
    yield table(
        ("method", "mean mask difference", "largest score difference", "changed verdicts"),
        ((m.method, m.mean_mask_difference, m.largest_score_difference, m.changed_verdicts) for m in report.methods),
    )
    yield heading("Layers")
    yield table(
        ("layer", "computes in", "largest input", "range", "signal to noise, dB", "alone: mask difference"),
        (
            (
                layer.name,
                "INT8" if layer.quantised else f"{report.around} ({layer.kept_because})",
                layer.largest,
                layer.range,
                layer.signal_to_noise_db,
                layer.alone_mask_difference,
            )
            for layer in report.layers
        ),
    )
    yield heading("Size and speed on this machine's CPU")
    costs = (("before", report.cost_before), ("after", report.cost_after))
    yield table(
        ("", "model, KiB", "ms per frame"), ((name, cost.model_bytes / 1024, cost.milliseconds) for name, cost in costs)
    )
    yield heading(f"Changed verdicts: {len(report.changed)}")
    for change, png in zip(report.changed, pictures, strict=False):
        said = [", ".join(names) or "good" for names in (change.truth, change.before, change.after)]
        yield picture(png, f"image {change.image}: truth {said[0]}; before {said[1]}; after {said[2]}")


def _verdict(report: CalibrationReport) -> str:
    last = report.steps[-1]
    kept = f", with {', '.join(last.kept)} kept in float" if last.kept else ""
    if last.objection is None:
        return paragraph(f"The INT8 network passed the gate{kept}.", "good")
    return paragraph(f"No bundle was written: {last.objection}{kept}.", "bad")


def _measures(before: Metrics, after: Metrics) -> Iterator[tuple[str, object, object]]:
    for name, old in before.model_dump().items():
        new = getattr(after, name)
        if name in ("escapes", "false_rejects"):
            yield name, getattr(before, name).counts, new.counts
        elif isinstance(old, int | float) or old is None:
            yield name, old, new


def _classes(before: Metrics, after: Metrics) -> Iterator[tuple[object, ...]]:
    for old, new in zip(before.classes, after.classes, strict=True):
        ious, precisions = (old.iou_pooled, new.iou_pooled), (old.average_precision, new.average_precision)
        yield old.name, old.positives, old.found, new.found, *ious, *precisions


def _side_by_side(frame: Image, masks: Sequence[NDArray[np.uint8]], thresholds: Sequence[Threshold]) -> bytes:
    """Draw the outlines of each network's masks, uint8 [C, h, w], on a preprocessed frame, uint8 [C, H, W].

    Returns a PNG: the frame itself, then one copy per network. Each class has a fixed colour.
    """
    bare = cv2.cvtColor(frame[0], cv2.COLOR_GRAY2RGB) if len(frame) == 1 else frame.transpose(1, 2, 0)
    return encode_png(np.hstack([bare, *(_outlined(bare, one, thresholds) for one in masks)]))


def _outlined(bare: NDArray[np.generic], masks: NDArray[np.uint8], thresholds: Sequence[Threshold]) -> Image:
    drawn = np.array(bare, np.uint8, order="C")
    for index, (mask, threshold) in enumerate(zip(masks, thresholds, strict=True)):
        found = enlarged(mask >= threshold.level, *drawn.shape[:2])
        draw_outlines(drawn, outlines_of(found), colour_of(index))
    return drawn
