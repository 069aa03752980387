"""Images of the accuracy gate: labelled ones, or pictures that calibration leaves out."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, Image, Manifest
from bundle.outlines import enlarged
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.bundles.golden_frames import TOLERANCES, disturbed
from export.choices import Part
from export.errors import CalibrationError, LabelsError
from export.evaluate.batched_inference import Bar, run
from export.evaluate.compare_outputs import found_classes
from export.evaluate.labelled_images import select
from export.int8.calibration_images import CalibrationSet
from train.data.anomaly import is_anomaly
from train.data.dataset import Masks
from train.data.image_set import ImageSet, joined, load_images, outlined, pack
from train.evaluate.outputs import Outputs

HELD_OUT = 4
"""Without labels, every fourth picture is for the gate, the others for calibration."""

OTHER_DEFECTS = 10_000
"""Number of the first drawn defect for calibration; the gate counts from 0."""


@dataclass(frozen=True)
class GateImages:
    """Images for the accuracy gate, with the pictures that remain for calibration."""

    images: ImageSet
    description: str
    labelled: bool
    pictures: CalibrationSet
    disturbed: bool = False
    """Whether drawn defects stand for defective parts."""


def labelled_gate_images(
    bundle: Bundle,
    pictures: CalibrationSet,
    data: Path,
    split: str | None,
    part: Part,
    threads: int | None = None,
    engine: str = DEFAULT_ENGINE,
) -> GateImages:
    """Use labelled images that are not calibration pictures. Raises LabelsError if none remain.

    Drawn defects stand for defective parts where there is none and the network knows good parts alone.
    """
    labelled = select(bundle, data, split, part)
    unseen = [sample for sample in labelled.samples if sample.sha256 not in pictures.hashes]
    if not unseen:
        raise LabelsError(
            f"{data}: calibration has seen all {len(labelled.samples)} images of part {labelled.part}; add others"
        )
    images = load_images(unseen, bundle.manifest.input, len(bundle.manifest.classes))
    made = GateImages(images, f"{len(unseen)} images of {labelled.dataset}, part {labelled.part}", True, pictures)
    knows_good_alone = is_anomaly(bundle.manifest.classes)
    return _with_disturbances(bundle, made, threads, engine) if knows_good_alone and not images.labels.any() else made


def unlabelled_gate_images(
    bundle: Bundle, pictures: CalibrationSet, threads: int | None, engine: str = DEFAULT_ENGINE
) -> GateImages:
    """Use every HELD_OUT-th picture, with the float bundle's own decisions as labels.

    Drawn defects stand for defective parts where the network knows good parts alone.
    """
    inputs = pictures.inputs
    judging = np.arange(len(inputs)) % HELD_OUT == HELD_OUT - 1
    if not judging.any():
        raise CalibrationError(f"found {len(inputs)} pictures, expected at least {HELD_OUT} to calibrate and to judge")
    opened = open_engine(engine, bundle, threads)
    with Bar("asking fp32", int(judging.sum())) as bar:
        images = agreement_truth(run(opened.infer, inputs[judging], bar.step), inputs[judging], bundle.manifest)
    rest = replace(pictures, inputs=inputs[~judging])
    made = GateImages(images, f"{len(images)} other pictures, by the fp32 bundle's own decisions", False, rest)
    return _with_disturbances(bundle, made, threads, engine) if is_anomaly(bundle.manifest.classes) else made


def _with_disturbances(bundle: Bundle, gate_images: GateImages, threads: int | None, engine: str) -> GateImages:
    """Add a copy of each picture with a drawn defect, and the golden frames; the float bundle's decisions label them.

    Those that it scores within the tolerance of its threshold say nothing and are left out.
    Each calibration picture gets such a copy too, so that the ranges hold what a defect activates.
    """
    grid, calm = bundle.manifest.tile_grid, gate_images.images
    golden = [bundle.prepare(frame) for frame in bundle.golden.frames]
    inputs = np.stack([*(disturbed(one, grid, index) for index, one in enumerate(calm.images)), *golden])
    opened = open_engine(engine, bundle, threads)
    with Bar("asking fp32", len(inputs)) as bar:
        outputs = run(opened.infer, inputs, bar.step)
    clear = _beyond_tolerance(outputs, bundle.manifest)
    drawn = agreement_truth(Outputs(outputs.scores[clear], outputs.masks[clear]), inputs[clear], bundle.manifest)
    seen = gate_images.pictures
    more = np.stack([disturbed(one, grid, index) for index, one in enumerate(seen.inputs, OTHER_DEFECTS)])
    return GateImages(
        joined([replace(calm, parts=()), drawn]),
        f"{gate_images.description}, {len(drawn)} of {len(inputs)} copies with a drawn defect and golden frames",
        gate_images.labelled,
        CalibrationSet(
            np.concatenate([seen.inputs, more]), seen.hashes, f"{seen.description} and {len(more)} drawn defects"
        ),
        disturbed=True,
    )


def _beyond_tolerance(outputs: Outputs, manifest: Manifest) -> NDArray[np.bool_]:
    """Images, bool [N], of which no score lies within the tolerance of INT8 of its threshold."""
    limits = np.array([threshold.score for threshold in manifest.thresholds.values()])
    return np.asarray((np.abs(outputs.scores - limits) > TOLERANCES["int8"].score).all(axis=1))


def agreement_truth(outputs: Outputs, inputs: Image, manifest: Manifest) -> ImageSet:
    """Use a network's decisions as labels.

    inputs: the preprocessed frames, uint8 [N, C, H, W], that gave the outputs. Metrics against
    these labels measure agreement with that network; an escape is a part that it rejects and the other network accepts.
    """
    labels = found_classes(outputs, manifest.thresholds, manifest.input)  # [N, C]
    bits = np.stack(
        [pack(_declared(masks, found, manifest)) for masks, found in zip(outputs.masks, labels, strict=True)]
    )
    return ImageSet(inputs, bits, labels, outlined(bits, labels))


def _declared(masks: NDArray[np.uint8], found: NDArray[np.bool_], manifest: Manifest) -> Masks:
    """The pixels of the classes found, bool [C, H, W]."""
    spec, thresholds = manifest.input, manifest.thresholds.values()
    cells = [(mask >= limit.level) & has for mask, has, limit in zip(masks, found, thresholds, strict=True)]
    return np.stack([enlarged(cell, spec.height, spec.width) for cell in cells])
