"""What a calibration leaves on disk: the report always, the bundle only past the gate."""

from pathlib import Path

from bundle import write_bundle
from export.errors import GateError
from export.html.overlay import side_by_side
from export.int8.calibrate import Result
from export.int8.report import CalibrationReport
from export.int8.report_html import calibration_page
from train.data.image_set import ImageSet

PICTURES = 24
"""Changed verdicts shown in the report."""


def write_calibration(result: Result, images: ImageSet, out: Path, folder: Path) -> list[str]:
    """Write the bundle to `out` with the report to `folder`, and say in lines what came out.

    images: those judged on. Raises GateError, with the report written but no bundle, if the gate objects.
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
    before, after = (metrics.named(report.metric) for metrics in (report.before, report.after))
    kept = [layer.name for layer in report.layers if not layer.quantised]
    return [
        f"bundle {sealed.name} (int8, id {sealed.id[:12]}) in {out}, report in {folder}",
        f"ranges by {report.method} on {report.calibrated_on}; in float: {', '.join(kept)}",
        f"on {report.judged_on}: {report.metric} {before:.4f} -> {after:.4f}, escapes {report.before.escapes.count} -> "
        f"{report.after.escapes.count}, {len(report.changed)} changed verdicts",
    ]


def _write_report(result: Result, report: CalibrationReport, images: ImageSet, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    limits = list(result.draft.manifest.thresholds.values())
    pictures = [
        side_by_side(images.images[place], [judged.outputs.masks[place] for judged in result.judged], limits)
        for place in (change.image for change in report.changed[:PICTURES])
    ]
    (folder / "calibration.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "calibration.html").write_text(calibration_page(report, pictures), encoding="utf-8")
