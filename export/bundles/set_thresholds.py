"""A copy of a bundle with other score thresholds."""

from typing import Literal, NamedTuple

import numpy as np
from rich.table import Table

from bundle import Bundle, Threshold
from bundle.folder import MODEL
from bundle.golden import encode
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.bundles.assemble import Draft, with_comparisons
from export.errors import ThresholdsError
from export.evaluate.batched_inference import Bar, run
from export.evaluate.labelled_images import Labelled
from train.data.image_set import load_images
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import evaluate, judged_together
from train.evaluate.part_metrics import group
from train.evaluate.rates import Rate
from train.evaluate.thresholds import Goal, objection_to, shift_thresholds

Unit = Literal["picture", "part"]
"""Unit of a goal: pictures, or parts by the worst of their views."""


class Retuned(NamedTuple):
    """The new bundle with a table of thresholds and mistakes before and after."""

    draft: Draft
    table: Table


def goal_of(max_escapes: float | None, max_false_rejects: float | None) -> Goal:
    """The one goal that was asked for. Raises ThresholdsError for none or both."""
    if max_escapes is not None and max_false_rejects is None:
        return Goal("escapes", max_escapes)
    if max_false_rejects is not None and max_escapes is None:
        return Goal("false rejects", max_false_rejects)
    raise ThresholdsError("thresholds: found none or both of --max-escapes and --max-false-rejects, expected one")


def retuned(
    bundle: Bundle,
    name: str,
    labelled: Labelled,
    goal: Goal,
    unit: Unit = "picture",
    threads: int | None = None,
    engine: str = DEFAULT_ENGINE,
    force: bool = False,
) -> Retuned:
    """Choose thresholds that meet the goal on these images, or on the parts that they show.

    Raises ThresholdError or ThresholdsError if none do; unless `force`, also if the choice rejects every good image or
    passes every defective one.
    """
    manifest = bundle.manifest
    opened = open_engine(engine, bundle, threads)
    images = load_images(labelled.samples, manifest.input, len(manifest.classes))
    with Bar("scoring", len(images)) as bar:
        outputs = judged_together(run(opened.infer, images.images, bar.step), images, manifest.exposures)
    defective = np.asarray(images.labels.any(axis=1))
    numbers = group(images.parts, images.labels) if unit == "part" else None
    chosen = shift_thresholds(outputs, defective, manifest.thresholds, manifest.input, goal, numbers)
    before, after = (evaluate(outputs, images, limits, manifest.classes) for limits in (manifest.thresholds, chosen))
    counted = after.parts if unit == "part" and after.parts is not None else after
    reached = counted.escapes if goal.what == "escapes" else counted.false_rejects
    if reached.value is None or reached.value > goal.share:
        raise ThresholdsError(f"thresholds: found {reached.count} {goal.what} of {reached.total} at best; allow more")
    if not force and (objection := objection_to(after)):
        raise ThresholdsError(f"thresholds: {objection}; allow more mistakes, add images, or say --force")
    told = {
        "source": bundle.id,
        "goal": f"at most {goal.share:.4g} {goal.what} by {unit}",
        "chosen_on": f"{len(images)} images of {labelled.dataset}, part {labelled.part}",
        "escapes": [before.escapes.count, after.escapes.count],
        "escapes_interval_95": [after.escapes.low, after.escapes.high],
        "false_rejects": [before.false_rejects.count, after.false_rejects.count],
        "false_rejects_interval_95": [after.false_rejects.low, after.false_rejects.high],
        "unsure": [point.model_dump() for point in after.unsure],
    }
    changed = with_comparisons(manifest.model_copy(update={"name": name, "thresholds": chosen}), {"thresholds": told})
    files = {MODEL: bundle.read_model()} | encode(bundle.golden)
    return Retuned(Draft(changed, files), _table(manifest.thresholds, chosen, before, after))


def _table(old: dict[str, Threshold], new: dict[str, Threshold], before: Metrics, after: Metrics) -> Table:
    table = Table("", "before", "after")
    for name in old:
        table.add_row(f"score threshold of {name}", f"{old[name].score:.4f}", f"{new[name].score:.4f}")
    for what, drawn in (("escapes", "escaped_pictures"), ("false_rejects", "rejected_pictures")):
        name, views = what.replace("_", " "), (before.several_views, after.several_views)
        pairs = zip((before, after), views, strict=True)
        cells = [_with_interval(getattr(side, what), getattr(parts, drawn, None)) for side, parts in pairs]
        table.add_row(name, *cells)
        if all(views):
            table.add_row(f"{name} by part", *(_with_interval(getattr(parts, what)) for parts in views))
    table.caption = "with 95 % intervals; those of pictures draw whole parts where parts have several"
    return table


def _with_interval(rate: Rate, interval: tuple[float, float] | None = None) -> str:
    """Count and total with the 95 % interval of the share, by default the exact one of independent cases."""
    low, high = interval or (rate.low, rate.high)
    return rate.counts + (f" ({100 * low:.1f} to {100 * high:.1f} %)" if rate.total else "")
