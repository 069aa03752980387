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
from train.evaluate.outputs import evaluate
from train.evaluate.part_metrics import group
from train.evaluate.rates import Rate
from train.evaluate.thresholds import Goal, shift_thresholds

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
        outputs = run(opened.infer, images.images, bar.step)
    defective = np.asarray(images.labels.any(axis=1))
    numbers = group(images.parts, images.labels) if unit == "part" else None
    chosen = shift_thresholds(outputs, defective, manifest.thresholds, manifest.input, goal, numbers)
    before, after = (evaluate(outputs, images, limits, manifest.classes) for limits in (manifest.thresholds, chosen))
    counted = after.parts if unit == "part" and after.parts is not None else after
    reached = counted.escapes if goal.what == "escapes" else counted.false_rejects
    if reached.value is None or reached.value > goal.share:
        raise ThresholdsError(f"thresholds: found {reached.count} {goal.what} of {reached.total} at best; allow more")
    if not force and (objection := _objection(after)):
        raise ThresholdsError(f"thresholds: {objection}; allow more mistakes, add images, or say --force")
    told = {
        "source": bundle.id,
        "goal": f"at most {goal.share:.4g} {goal.what} by {unit}",
        "chosen_on": f"{len(images)} images of {labelled.dataset}, part {labelled.part}",
        "escapes": [before.escapes.count, after.escapes.count],
        "escapes_interval_95": [after.escapes.low, after.escapes.high],
        "false_rejects": [before.false_rejects.count, after.false_rejects.count],
        "false_rejects_interval_95": [after.false_rejects.low, after.false_rejects.high],
    }
    changed = with_comparisons(manifest.model_copy(update={"name": name, "thresholds": chosen}), {"thresholds": told})
    files = {MODEL: bundle.read_model()} | encode(bundle.golden)
    return Retuned(Draft(changed, files), _table(manifest.thresholds, chosen, before, after))


def _objection(after: Metrics) -> str | None:
    """Why thresholds are of no use at a line, or None."""
    good, defective = after.false_rejects, after.escapes
    if good.count == good.total:
        return f"found {good.count} of {good.total} good images rejected, expected some to be accepted"
    if defective.count == defective.total:
        return f"found {defective.count} of {defective.total} defective images accepted, expected some to be rejected"
    return None


def _table(old: dict[str, Threshold], new: dict[str, Threshold], before: Metrics, after: Metrics) -> Table:
    table = Table("", "before", "after")
    for name in old:
        table.add_row(f"score threshold of {name}", f"{old[name].score:.4f}", f"{new[name].score:.4f}")
    for by, sides in (("", (before, after)), (" by part", (before.several_views, after.several_views))):
        for what in ("escapes", "false_rejects") if all(sides) else ():
            table.add_row(what.replace("_", " ") + by, *(_with_interval(getattr(side, what)) for side in sides))
    return table


def _with_interval(rate: Rate) -> str:
    """Count and total with the 95 % interval of the share (Clopper and Pearson), which takes images as independent."""
    return rate.counts + (f" ({100 * rate.low:.1f} to {100 * rate.high:.1f} %)" if rate.total else "")
