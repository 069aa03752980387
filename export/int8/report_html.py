"""The calibration report as a page."""

from collections.abc import Iterator, Sequence

from export.html.page import heading, page, paragraph, picture, table
from export.int8.report import CalibrationReport
from train.evaluate.metrics import Metrics


def calibration_page(report: CalibrationReport, pictures: Sequence[bytes]) -> str:
    """Write the report as HTML; `pictures` are PNGs of the first changed verdicts."""
    return page(f"INT8 calibration of {report.source}", _parts(report, pictures))


def _parts(report: CalibrationReport, pictures: Sequence[bytes]) -> Iterator[str]:
    yield _verdict(report)
    yield paragraph(
        f"{report.date}. Source {report.source_id[:12]}, new bundle {(report.bundle_id or 'none')[:12]}. "
        f"Ranges by {report.method} on {report.calibrated_on}; the rest of the graph in {report.around}."
    )
    yield from (paragraph(f"Warning: {warning}", "bad") for warning in report.warnings)
    yield heading("Before and after")
    if not report.labelled:
        yield paragraph("No labels were given: the float network's decisions stand for the truth.")
    yield paragraph(f"On {report.judged_on}.")
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
            yield name, f"{old['count']} of {old['total']}", f"{new.count} of {new.total}"
        elif isinstance(old, int | float) or old is None:
            yield name, old, new


def _classes(before: Metrics, after: Metrics) -> Iterator[tuple[object, ...]]:
    for old, new in zip(before.classes, after.classes, strict=True):
        ious, precisions = (old.iou_pooled, new.iou_pooled), (old.average_precision, new.average_precision)
        yield old.name, old.positives, old.found, new.found, *ious, *precisions
