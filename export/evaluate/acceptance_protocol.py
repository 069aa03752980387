"""Acceptance protocol of a bundle, as an HTML page to be signed."""

from collections.abc import Iterator

from export.evaluate.evaluate import Evaluation
from train.evaluate.metrics import ClassMetrics, Metrics
from train.evaluate.rates import Rate
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
            ("data", f"{evaluation.dataset}, part {evaluation.part}, by {evaluation.split}"),
            ("parts", _counted(metrics.parts.parts, metrics.parts.good) if metrics.parts else "not known"),
            ("pictures", _counted(metrics.images, metrics.good)),
        ),
    )
    if evaluation.warning:
        yield paragraph(f"Warning: {evaluation.warning}", "bad")
    yield heading("Escapes and false rejects")
    yield table(("what", "count", "of n", "share", "95 % interval"), _rates(metrics))
    yield paragraph(
        "n counts parts where a line says parts: a part is as bad as its worst picture. The interval of parts is exact "
        "(Clopper and Pearson). Pictures of one part are not independent: the interval of pictures draws whole parts "
        "(bootstrap)."
    )
    yield heading("Classes, by picture")
    yield table(
        ("class", "images", "found", "false alarms", "score threshold", "recall", "precision", "IoU pooled"),
        (_class_row(one, evaluation.thresholds[one.name].score) for one in metrics.classes),
    )
    yield paragraph(
        "The figures hold for these images, this bundle and this engine. The inspection is a quality function, not a "
        "safety function."
    )
    yield signatures(("for the plant: name, date, signature", "for the supplier: name, date, signature"))


def _rates(metrics: Metrics) -> Iterator[tuple[object, ...]]:
    parts = metrics.parts
    if parts is not None:
        for name, rate in (
            ("escapes: defective parts passed in every picture", parts.escapes),
            ("false rejects: good parts rejected in at least one picture", parts.false_rejects),
        ):
            yield _row(name, rate, (rate.low, rate.high))
    if parts is None or parts.most_views > 1:
        drawn = (None, None) if parts is None else (parts.escaped_pictures, parts.rejected_pictures)
        yield _row("escapes: defective pictures passed", metrics.escapes, drawn[0])
        yield _row("false rejects: good pictures rejected", metrics.false_rejects, drawn[1])


def _row(name: str, rate: Rate, interval: tuple[float, float] | None) -> tuple[object, ...]:
    """A row of the rates, with dashes where there is no data."""
    if rate.value is None:
        return name, "-", rate.total, "-", "-"
    bounds = "-" if interval is None else f"{100 * interval[0]:.2f} % to {100 * interval[1]:.2f} %"
    return name, rate.count, rate.total, f"{100 * rate.value:.2f} %", bounds


def _counted(total: int, good: int) -> str:
    return f"{total}: {total - good} defective, {good} good"


def _class_row(one: ClassMetrics, threshold: float) -> tuple[object, ...]:
    return one.name, one.positives, one.found, one.false_alarms, threshold, one.recall, one.precision, one.iou_pooled
