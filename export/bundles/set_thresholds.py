"""A bundle with other thresholds, and otherwise the same."""

from typing import NamedTuple

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
from export.evaluate.operating_point import Goal, choose_thresholds
from train.data.image_set import load_images
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import evaluate


class Retuned(NamedTuple):
    """The new bundle, with a table of what changed."""

    draft: Draft
    table: Table


def retuned(
    bundle: Bundle, name: str, labelled: Labelled, goal: Goal, threads: int | None = None, engine: str = DEFAULT_ENGINE
) -> Retuned:
    """Choose thresholds that fulfil the goal on these images. Raises ThresholdsError if none do."""
    manifest = bundle.manifest
    opened = open_engine(engine, bundle, threads)
    images = load_images(labelled.samples, manifest.input, len(manifest.classes))
    with Bar("scoring", len(images)) as bar:
        outputs = run(opened.infer, images.images, bar.step)
    defective = np.asarray(images.labels.any(axis=1))
    chosen = choose_thresholds(outputs, defective, manifest.thresholds, manifest.input, goal)
    before, after = (evaluate(outputs, images, limits, manifest.classes) for limits in (manifest.thresholds, chosen))
    reached = after.escapes if goal.what == "escapes" else after.false_rejects
    if reached.value is None or reached.value > goal.share:
        raise ThresholdsError(f"thresholds: found {reached.count} {goal.what} of {reached.total} at best; allow more")
    told = {
        "source": bundle.id,
        "goal": f"at most {goal.share:.4g} {goal.what}",
        "chosen_on": f"{len(images)} images of {labelled.dataset}, part {labelled.part}",
        "escapes": [before.escapes.count, after.escapes.count],
        "false_rejects": [before.false_rejects.count, after.false_rejects.count],
    }
    changed = with_comparisons(manifest.model_copy(update={"name": name, "thresholds": chosen}), {"thresholds": told})
    files = {MODEL: bundle.model.read_bytes()} | encode(bundle.golden)
    return Retuned(Draft(changed, files), _table(manifest.thresholds, chosen, before, after))


def _table(old: dict[str, Threshold], new: dict[str, Threshold], before: Metrics, after: Metrics) -> Table:
    table = Table("", "before", "after")
    for name in old:
        table.add_row(f"score threshold of {name}", f"{old[name].score:.4f}", f"{new[name].score:.4f}")
    for what in ("escapes", "false_rejects"):
        counts = [getattr(metrics, what) for metrics in (before, after)]
        table.add_row(what.replace("_", " "), *(f"{count.count} of {count.total}" for count in counts))
    return table
