"""The images that a quantised network is judged on: never those that it was calibrated on."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bundle import Bundle
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from export.errors import CalibrationError, LabelsError
from export.evaluate.batched_inference import Bar, run
from export.evaluate.labelled_images import Part, select
from export.int8.accuracy_gate import agreement_truth
from export.int8.calibration_images import CalibrationSet
from train.data.image_set import ImageSet, load_images

HELD_OUT = 4
"""Without labels, every fourth picture judges and the others calibrate."""


@dataclass(frozen=True)
class Jury:
    """What judges, and what is left to calibrate on."""

    images: ImageSet
    description: str
    labelled: bool
    pictures: CalibrationSet


def labelled_jury(bundle: Bundle, pictures: CalibrationSet, data: Path, split: str | None, part: Part) -> Jury:
    """Judge on labelled images. Raises LabelsError if calibration has seen all of them."""
    labelled = select(bundle, data, split, part)
    unseen = [sample for sample in labelled.samples if sample.sha256 not in pictures.hashes]
    if not unseen:
        raise LabelsError(f"{data}: calibration has seen all {len(labelled.samples)} images of part {part}; add others")
    images = load_images(unseen, bundle.manifest.input, len(bundle.manifest.classes))
    return Jury(images, f"{len(unseen)} images of {labelled.dataset}, part {part}", True, pictures)


def own_jury(bundle: Bundle, pictures: CalibrationSet, threads: int | None, engine: str = DEFAULT_ENGINE) -> Jury:
    """Judge by the float bundle's own decisions, on some of the pictures."""
    inputs = pictures.inputs
    judging = np.arange(len(inputs)) % HELD_OUT == HELD_OUT - 1
    if not judging.any():
        raise CalibrationError(f"found {len(inputs)} pictures, expected at least {HELD_OUT} to calibrate and to judge")
    opened = open_engine(engine, bundle, threads)
    with Bar("asking fp32", int(judging.sum())) as bar:
        images = agreement_truth(run(opened.infer, inputs[judging], bar.step), inputs[judging], bundle.manifest)
    rest = replace(pictures, inputs=inputs[~judging])
    return Jury(images, f"{len(images)} other pictures, by the fp32 bundle's own decisions", False, rest)
