"""Comparison of two bundles on the same labelled images."""

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from bundle import Bundle, FrozenModel
from edge.engines.engine import Engine
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.errors import ComparisonError
from export.evaluate.compare_outputs import ChangedVerdict, changed_verdicts
from export.evaluate.evaluate import judge
from export.evaluate.labelled_images import Labelled
from export.evaluate.latency import RunningCost, milliseconds
from train.evaluate.metrics import Metrics, measure
from train.evaluate.prediction import Prediction
from train.evaluate.tables import percent


class ComparedBundle(FrozenModel):
    """Results of one of the two bundles."""

    name: str
    bundle_id: str
    precision: str
    engine: str
    cost: RunningCost
    metrics: Metrics


class BundleComparison(FrozenModel):
    """Result of `edge-export compare`."""

    dataset: str
    part: str
    warning: str | None
    sides: tuple[ComparedBundle, ComparedBundle]
    changed: tuple[ChangedVerdict, ...]
    """Images on which the found classes differ; `image` is an index into `images`."""
    images: tuple[str, ...]


def compare_bundles(
    bundles: tuple[Bundle, Bundle], labelled: Labelled, threads: int | None = None, engine: str = DEFAULT_ENGINE
) -> BundleComparison:
    """Run two bundles of the same classes on the same labelled images, each through its own preprocessing.

    Raises ComparisonError for other classes; EngineError, GoldenMismatch and DataError as `evaluate`.
    """
    first, second = bundles
    if first.manifest.classes != second.manifest.classes:
        raise ComparisonError(
            f"{second.folder}: found classes {', '.join(second.manifest.classes)}, expected those of {first.folder}: "
            f"{', '.join(first.manifest.classes)}; compare bundles of the same classes"
        )
    opened = [open_engine(engine, bundle, threads) for bundle in bundles]
    rows = [judge(bundle, each, labelled) for bundle, each in zip(bundles, opened, strict=True)]
    frame = labelled.samples[0].load_image()
    inputs = [bundle.prepare(frame)[np.newaxis] for bundle in bundles]
    times = milliseconds([each.infer for each in opened], inputs)
    found = [np.stack([row.found for row in side]) for side in rows]
    one, other = (_side(*side) for side in zip(bundles, opened, rows, times, strict=True))
    return BundleComparison(
        dataset=labelled.dataset,
        part=labelled.part,
        warning=labelled.warning,
        sides=(one, other),
        changed=changed_verdicts(found[0], found[1], np.stack([row.labels for row in rows[0]]), first.manifest.classes),
        images=tuple(sample.path.name for sample in labelled.samples),
    )


def _side(bundle: Bundle, engine: Engine, rows: list[Prediction], time_ms: float) -> ComparedBundle:
    return ComparedBundle(
        name=bundle.manifest.name,
        bundle_id=bundle.id,
        precision=bundle.manifest.precision,
        engine=engine.description,
        cost=RunningCost(model_bytes=sum(stage.model.stat().st_size for stage in bundle.stages), milliseconds=time_ms),
        metrics=measure(rows, bundle.manifest.classes),
    )


def comparison_tables(comparison: BundleComparison) -> list[Table]:
    """Tables of both bundles' metrics and of the images on which the found classes differ."""
    first, second = comparison.sides
    measures = Table("measure", *(f"{side.name} ({side.precision})" for side in (first, second)), title_justify="left")
    measures.title = f"{len(comparison.images)} images of {comparison.dataset}, part {comparison.part}"
    for name, one, other in _measures(first, second):
        measures.add_row(name, one, other)
    changed = Table("image", "truth", "first", "second", title_justify="left")
    changed.title = f"changed verdicts: {len(comparison.changed)}"
    for change in comparison.changed:
        said = (", ".join(names) or "good" for names in (change.truth, change.before, change.after))
        changed.add_row(comparison.images[change.image], *said)
    return [measures, changed] if comparison.changed else [measures]


def _measures(first: ComparedBundle, second: ComparedBundle) -> Iterator[tuple[str, str, str]]:
    one, other = first.metrics, second.metrics
    for name in ("mean_recall", "mean_average_precision", "mean_iou_pooled", "mean_iou_positives", "accuracy_pairs"):
        yield f"{name}, %", percent(getattr(one, name)), percent(getattr(other, name))
    for name in ("escapes", "false_rejects"):
        counts = [getattr(side, name).counts for side in (one, other)]
        yield name.replace("_", " "), counts[0], counts[1]
        parts = [getattr(side.several_views, name) for side in (one, other) if side.several_views is not None]
        if len(parts) == 2:
            yield f"{name.replace('_', ' ')} by part", parts[0].counts, parts[1].counts
    yield "model, KiB", f"{first.cost.model_bytes / 1024:.0f}", f"{second.cost.model_bytes / 1024:.0f}"
    yield "ms per frame on this CPU", f"{first.cost.milliseconds:.1f}", f"{second.cost.milliseconds:.1f}"
