"""Evaluation of a bundle on labelled images, with the engine and decision of the station."""

from bundle import Bundle, FrozenModel, Threshold
from edge.engines.engine import Engine
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.evaluate.batched_inference import Bar, chunks_of_parts, run
from export.evaluate.labelled_images import Labelled
from train.data.image_set import load_images
from train.evaluate.metrics import Metrics, measure
from train.evaluate.outputs import judged_together, predictions
from train.evaluate.prediction import Prediction


class Evaluation(FrozenModel):
    """Result of `edge-export evaluate`."""

    bundle: str
    bundle_id: str
    precision: str
    engine: str
    dataset: str
    split: str
    part: str
    warning: str | None
    citation: str
    thresholds: dict[str, Threshold]
    metrics: Metrics


def evaluate(
    bundle: Bundle, labelled: Labelled, threads: int | None = None, engine: str = DEFAULT_ENGINE
) -> Evaluation:
    """Run the bundle on the labelled images.

    Raises EngineError, GoldenMismatch and DataError; no image is skipped.
    """
    manifest = bundle.manifest
    opened = open_engine(engine, bundle, threads)
    rows = judge(bundle, opened, labelled)
    return Evaluation(
        bundle=manifest.name,
        bundle_id=bundle.id,
        precision=manifest.precision,
        engine=opened.description,
        dataset=labelled.dataset,
        split=labelled.split,
        part=labelled.part,
        warning=labelled.warning,
        citation=labelled.citation,
        thresholds=manifest.thresholds,
        metrics=measure(rows, manifest.classes),
    )


def judge(bundle: Bundle, engine: Engine, labelled: Labelled) -> list[Prediction]:
    """Decision on each image with its label, in the order of the images."""
    manifest = bundle.manifest
    rows: dict[int, Prediction] = {}
    with Bar(f"running {manifest.name}", len(labelled.samples)) as bar:
        for chunk in chunks_of_parts(labelled.samples):
            images = load_images([labelled.samples[at] for at in chunk], manifest.input, len(manifest.classes))
            outputs = judged_together(run(engine.infer, images.images, bar.step), images, manifest.exposures)
            rows |= zip(chunk, predictions(outputs, images, manifest.thresholds), strict=True)
    return [rows[at] for at in range(len(rows))]
