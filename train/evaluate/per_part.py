"""Predictions grouped by part: escapes, false rejects, and their rates with bootstrap intervals over parts.

Exposures of one part are not independent, so intervals over images are too narrow; here whole parts are resampled.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from train.data.dataset import Dataset
from train.errors import DataError
from train.evaluate.metrics import GOOD
from train.evaluate.prediction import Prediction
from train.evaluate.prediction_files import Predictions
from train.evaluate.rates import cluster_interval
from train.evaluate.tables import Grid, percent

COLUMNS = ("part", "truth", "images", "wrong", "taken for", "largest score", "IoU of defect or not")


@dataclass(frozen=True)
class PartRow:
    """Predictions of the images of one part that have the same classes."""

    part: str
    truth: str
    """The classes' names, or good."""
    images: int
    wrong: int
    """Defective images passed, or good ones rejected."""
    taken_for: str
    """Most frequent class of its images; of a good part, of the rejected ones. `good` if nothing was found."""
    largest_score: float
    """Of any class, mean over the images."""
    overlap: float | None
    """IoU of defect or not, pooled over the images; None where neither has a pixel."""

    @property
    def good(self) -> bool:
        """Whether the part has no defect."""
        return self.truth == GOOD


def part_rows(judged: Predictions, dataset: Dataset) -> list[PartRow]:
    """One row per part and set of classes, those with the largest share of wrong images first.

    Raises DataError for an image that the data set does not have.
    """
    part_of = {sample.sha256: sample.part for sample in dataset.samples}
    groups: dict[tuple[str, str], list[Prediction]] = {}
    for row in judged.images:
        if row.image not in part_of:
            raise DataError(
                f"{row.name}: found in the predictions, but not in {dataset.name}; name the data they are of"
            )
        groups.setdefault((part_of[row.image], _names(judged.classes, row.labels)), []).append(row)
    rows = [_row(part, truth, images, judged.classes) for (part, truth), images in groups.items()]
    return sorted(rows, key=lambda row: (-row.wrong / row.images, row.truth, row.part))


def part_table(rows: Iterable[PartRow]) -> Grid:
    """Parts with at least one wrong image, under `COLUMNS`."""
    return Grid(COLUMNS, tuple(_cells(row) for row in rows if row.wrong))


def wrong_share(rows: Sequence[PartRow]) -> str:
    """Share of wrong images over these parts with its interval, as text."""
    wrong, images = sum(row.wrong for row in rows), sum(row.images for row in rows)
    low, high = share_interval(rows)
    share = f"{wrong} of {images} images of {len(rows)} parts"
    return f"{share} ({percent(wrong / images)} %, 95 % with whole parts drawn: {percent(low)} to {percent(high)})"


def share_interval(rows: Iterable[PartRow]) -> tuple[float, float]:
    """The 95 % interval of the share of wrong images over these parts; see `rates.cluster_interval`."""
    rows = list(rows)
    return cluster_interval([row.wrong for row in rows], [row.images for row in rows])


def _cells(row: PartRow) -> tuple[str, ...]:
    counts = str(row.images), str(row.wrong)
    return row.part, row.truth, *counts, row.taken_for, percent(row.largest_score), percent(row.overlap)


def _row(part: str, truth: str, images: Sequence[Prediction], classes: Sequence[str]) -> PartRow:
    called = [_called(image, classes) for image in images]
    names = [name for name in called if truth != GOOD or name != GOOD] or called
    union = sum(image.any_union for image in images)
    return PartRow(
        part=part,
        truth=truth,
        images=len(images),
        wrong=sum((name == GOOD) != (truth == GOOD) for name in called),
        taken_for=max(sorted(set(names)), key=names.count),
        largest_score=float(np.mean([image.scores.max() for image in images])),
        overlap=sum(image.any_intersection for image in images) / union if union else None,
    )


def _called(image: Prediction, classes: Sequence[str]) -> str:
    """The found class of the largest score."""
    if not image.found.any():
        return GOOD
    return classes[int(np.where(image.found, image.scores, -1).argmax())]


def _names(classes: Sequence[str], has: Iterable[bool]) -> str:
    return ", ".join(name for name, there in zip(classes, has, strict=True) if there) or GOOD
