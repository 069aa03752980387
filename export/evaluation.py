"""Every measure of a bundle on labelled images, through edge's own engine and decision."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from bundle import Bundle, Threshold
from bundle.golden import Infer
from edge.engine import open_engine
from export.inference import Bar, load_in_chunks, run
from export.labelled import Labelled
from train.images import ImageSet
from train.metrics import Metrics, measure
from train.outputs import predictions
from train.predictions import Prediction


class Evaluation(BaseModel):
    """What `edge-export evaluate` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    bundle_id: str
    precision: str
    engine: str
    dataset: str
    split: str
    part: str
    warning: str | None
    citation: str
    metrics: Metrics


def evaluate(bundle: Bundle, labelled: Labelled, threads: int | None = None) -> Evaluation:
    """Run the bundle on the labelled images.

    Raises EngineError, GoldenMismatch, DataError: nothing is skipped.
    """
    manifest = bundle.manifest
    engine = open_engine("onnxruntime", bundle, threads)
    chunks = load_in_chunks(labelled.samples, manifest.input, len(manifest.classes))
    with Bar("evaluating", len(labelled.samples)) as bar:
        rows = judge(engine.infer, chunks, manifest.thresholds, bar)
    return Evaluation(
        bundle=manifest.name,
        bundle_id=bundle.id,
        precision=manifest.precision,
        engine=engine.description,
        dataset=labelled.dataset,
        split=labelled.split,
        part=labelled.part,
        warning=labelled.warning,
        citation=labelled.citation,
        metrics=measure(rows, manifest.classes),
    )


def judge(infer: Infer, chunks: Iterable[ImageSet], thresholds: Mapping[str, Threshold], bar: Bar) -> list[Prediction]:
    """What the decision says of each image, beside the truth."""
    return [row for images in chunks for row in predictions(run(infer, images.images, bar.step), images, thresholds)]
