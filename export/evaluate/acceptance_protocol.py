"""Acceptance protocol of a bundle, as an HTML page to be signed."""

from collections.abc import Iterator

from export.evaluate.evaluate import Evaluation
from train.evaluate.metrics import ClassMetrics, Metrics
from train.evaluate.rates import Rate
from train.evaluate.tables import part_sentences
from train.report.page import heading, page, paragraph, signatures, table


def protocol_page(evaluation: Evaluation, date: str) -> str:
    """Write the protocol of one evaluation as HTML; `date` is UTC, ISO 8601."""
    return page(f"Acceptance protocol: {evaluation.bundle}", _parts(evaluation, date))


def _parts(evaluation: Evaluation, date: str) -> Iterator[str]:
    metrics = evaluation.metrics
    yield table(
        ("what", ""),
        (
            ("date", date),
            ("bundle", evaluation.bundle),
            ("bundle id (sha256)", evaluation.bundle_id),
            ("precision", evaluation.precision),
            ("engine", evaluation.engine),
            ("images", f"{metrics.images} of {evaluation.dataset}, part {evaluation.part}, by {evaluation.split}"),
        ),
    )
    if evaluation.warning:
        yield paragraph(f"Warning: {evaluation.warning}", "bad")
    yield heading("Parts and pictures")
    yield table(("what", "count", "of", "share", "95 % interval, exact (Clopper and Pearson)"), _rates(metrics))
    if metrics.several_views is not None:
        for sentence in part_sentences(metrics.several_views):
            yield paragraph(sentence)
    yield heading("Classes")
    yield table(
        ("class", "images", "found", "false alarms", "score threshold", "recall", "precision", "IoU pooled"),
        (_class_row(one, evaluation.thresholds[one.name].score) for one in metrics.classes),
    )
    yield paragraph(
        "The figures hold for these images, this bundle and this engine. The inspection is a quality function, not a "
        "safety function."
    )
    yield signatures(("for the plant: name, date, signature", "for the supplier: name, date, signature"))


def _rates(metrics: Metrics) -> Iterator[tuple[str, int, int, str, str]]:
    if metrics.several_views is not None:
        yield _row("escapes: defective parts passed in every view", metrics.several_views.escapes)
        yield _row("false rejects: good parts rejected in at least one view", metrics.several_views.false_rejects)
    yield _row("escapes: defective pictures passed", metrics.escapes)
    yield _row("false rejects: good pictures rejected", metrics.false_rejects)


def _row(name: str, rate: Rate) -> tuple[str, int, int, str, str]:
    share = "-" if rate.value is None else f"{100 * rate.value:.2f} %"
    return name, rate.count, rate.total, share, f"{100 * rate.low:.2f} % to {100 * rate.high:.2f} %"


def _class_row(one: ClassMetrics, threshold: float) -> tuple[object, ...]:
    return one.name, one.positives, one.found, one.false_alarms, threshold, one.recall, one.precision, one.iou_pooled
