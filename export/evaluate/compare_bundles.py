"""Two bundles on the same frames."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from bundle import Bundle
from edge.engines.engine import Engine
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.errors import ComparisonError
from export.evaluate.evaluate import judge
from export.evaluate.labelled_images import Labelled
from export.evaluate.latency import milliseconds
from export.int8.report import Change, Cost, changes
from train.evaluate.metrics import Metrics, measure
from train.evaluate.prediction import Prediction


class Side(BaseModel):
    """One of the two bundles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bundle_id: str
    precision: str
    engine: str
    cost: Cost
    metrics: Metrics


class Pairing(BaseModel):
    """What `edge-export compare` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    part: str
    warning: str | None
    sides: tuple[Side, Side]
    changed: tuple[Change, ...]
    """Images of which the two say other classes; `image` is the place in `images`."""
    images: tuple[str, ...]


def compare_bundles(
    bundles: tuple[Bundle, Bundle], labelled: Labelled, threads: int | None = None, engine: str = DEFAULT_ENGINE
) -> Pairing:
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
    return Pairing(
        dataset=labelled.dataset,
        part=labelled.part,
        warning=labelled.warning,
        sides=(one, other),
        changed=changes(found[0], found[1], np.stack([row.labels for row in rows[0]]), first.manifest.classes),
        images=tuple(sample.path.name for sample in labelled.samples),
    )


def _side(bundle: Bundle, engine: Engine, rows: list[Prediction], time_ms: float) -> Side:
    return Side(
        name=bundle.manifest.name,
        bundle_id=bundle.id,
        precision=bundle.manifest.precision,
        engine=engine.description,
        cost=Cost(model_bytes=bundle.model.stat().st_size, milliseconds=time_ms),
        metrics=measure(rows, bundle.manifest.classes),
    )
