"""Selection of the labelled images for an evaluation."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bundle import Bundle, first_problem
from export.choices import Part
from export.errors import LabelsError
from train.data.anomaly import is_anomaly
from train.data.dataset import Dataset, Sample
from train.data.readers import read_dataset
from train.data.splits import SIDES, Split, check_part, named_split, sides_of

OWN_SPLIT = "the bundle's own split"


@dataclass(frozen=True)
class Labelled:
    """Part of a data set with the bundle's classes."""

    dataset: str
    samples: tuple[Sample, ...]
    part: Part
    split: str
    """Source of the split: a file, `random`, `by-part`, or the bundle."""
    seen_in_training: int
    """Number of the samples in the bundle's training part."""
    parts_in_training: int
    """Number of the other samples that show a part of which the training part has pictures."""
    citation: str

    @property
    def warning(self) -> str | None:
        """Warning for a reader of the figures, or None."""
        seen, kin = self.seen_in_training, self.parts_in_training
        if not seen and not kin:
            return None
        what = [f"{seen} of these {len(self.samples)} images are training images of this network"] if seen else []
        what += [f"{kin} of these {len(self.samples)} images show parts of its training images"] if kin else []
        advice = "use --part test" if seen else "train with a split by part"
        return f"{', and '.join(what)}, so the figures are too good; {advice}"


def select(bundle: Bundle, data: Path, split: str | None = None, part: Part = "all") -> Labelled:
    """Read the data set in `data` and take a part of it.

    split: a split file, `random`, `by-part`, or None for the split the bundle was trained with; the name of a part
    instead (`test`) is that part of the bundle's own split.
    Raises LabelsError for other classes than the bundle's or an empty selection, DataError and SplitError as `train`.
    """
    for side in SIDES:
        if split == side:
            split, part = None, side
    check_part(split, part)
    dataset = read_dataset(data, one_class=is_anomaly(bundle.manifest.classes))
    if dataset.classes != bundle.manifest.classes:
        raise LabelsError(
            f"{data}: found classes {', '.join(dataset.classes)}, expected the bundle's "
            f"{', '.join(bundle.manifest.classes)}; use the data set that this bundle is for"
        )
    own = own_split(bundle)
    rule = bundle.manifest.exposures
    samples = dataset.samples if part == "all" else sides_of(_chosen(split, own, dataset), dataset, rule)[part]
    if not samples:
        learnt = " (this network learnt its validation part as well)" if part == "val" and split is None else ""
        raise LabelsError(
            f"{data}: found no images in part {part}{learnt}, expected some; choose another --part or --split, or name "
            "images that it does not know with --part all"
        )
    trained = [sample for sample in dataset.samples if own.images.get(sample.sha256) == "train"]
    images, parts = {sample.sha256 for sample in trained}, {sample.part for sample in trained}
    seen = sum(sample.sha256 in images for sample in samples)
    kin = sum(sample.part in parts and sample.sha256 not in images for sample in samples)
    return Labelled(dataset.name, samples, part, split or OWN_SPLIT, seen, kin, dataset.citation)


def own_split(bundle: Bundle) -> Split:
    """Split of the bundle's training; empty if the manifest has none."""
    stored = bundle.manifest.made_from.split
    if not stored:
        return Split(kind="by-part", seed=0, images={})
    try:
        return Split.model_validate(stored)
    except ValidationError as error:
        raise LabelsError(
            f"{bundle.folder}: made_from.split: {first_problem(error)}; export the bundle again"
        ) from None


def _chosen(name: str | None, own: Split, dataset: Dataset) -> Split:
    return own if name is None else named_split(name, dataset, own.seed)
