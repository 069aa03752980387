"""Corrections of labels: a file `relabel.csv` in the data set's folder, which every reader applies.

One line per image under the columns of `COLUMNS`; only those whose `new_label` is filled count. `train suspects`
writes such a file with the last column empty.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from train.data.dataset import Dataset, NotOutlined, Outline, Sample
from train.errors import DataError

FILE = "relabel.csv"

COLUMNS = ("sha256", "name", "part", "label", "opinion", "score", "reason", "new_label")

GOOD, LEFT_OUT = "good", "leave-out"
"""Values of `new_label` besides class names joined by "+"."""


def relabelled(dataset: Dataset, directory: Path) -> Dataset:
    """The data set with the corrections of `relabel.csv` in its folder, and its name saying how many; else as it is.

    An outline goes to the new class if the image had one class and gets one; another new class is `NotOutlined`.
    Raises DataError for a line whose image or class the data set does not have.
    """
    path = directory / FILE
    if not path.is_file():
        return dataset
    corrections = read_corrections(path, dataset)
    samples = tuple(_corrected(dataset, sample, corrections) for sample in dataset.samples)
    kept = tuple(sample for sample in samples if sample is not None)
    name = f"{dataset.name} ({len(corrections)} relabelled)" if corrections else dataset.name
    return replace(dataset, name=name, samples=kept)


def read_corrections(path: Path, dataset: Dataset) -> dict[str, str]:
    """The new label of each image by its sha256, lines without one left out. Raises DataError as `relabelled`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}); write it again with `train suspects`") from None
    known = {sample.sha256 for sample in dataset.samples} if lines else set()
    corrections = {}
    for number, line in enumerate(lines, start=2):
        label = (line.get("new_label") or "").strip()
        if not label:
            continue
        if line.get("sha256") not in known:
            raise DataError(
                f"{path}: line {number}: found the image {line.get('name')}, which {dataset.name} does not have; "
                "remove the line"
            )
        _check_label(label, dataset.classes, f"{path}: line {number}")
        corrections[line["sha256"]] = label
    return corrections


def write_corrections(rows: Iterable[Mapping[str, str]], path: Path) -> None:
    """Write lines under `COLUMNS`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _check_label(label: str, classes: tuple[str, ...], where: str) -> None:
    if label in (GOOD, LEFT_OUT):
        return
    for name in label.split("+"):
        if name not in classes:
            raise DataError(
                f"{where}: new_label: found {name!r}, expected {GOOD}, {LEFT_OUT}, or one of {', '.join(classes)}, "
                "several joined by +"
            )


def _corrected(dataset: Dataset, sample: Sample, corrections: Mapping[str, str]) -> Sample | None:
    label = corrections.get(sample.sha256) if corrections else None
    if label is None:
        return sample
    if label == LEFT_OUT:
        return None
    wanted = [] if label == GOOD else label.split("+")
    drawn = [outline for outline in sample.outlines if outline is not None]
    moved = drawn[0] if len(drawn) == len(wanted) == 1 else None
    outlines = tuple(
        _outline(old, moved) if name in wanted else None
        for name, old in zip(dataset.classes, sample.outlines, strict=True)
    )
    return Sample(sample.path, sample.part, outlines)


def _outline(old: Outline | None, moved: Outline | None) -> Outline:
    return old or moved or NotOutlined()
