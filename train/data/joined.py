"""Several data sets as one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from train.data.dataset import Dataset, Sample
from train.data.duplicates import without_duplicates
from train.data.files import Refuse, raise_error
from train.data.readers import read_dataset
from train.errors import DataError


def read_datasets(
    directories: Sequence[Path], refuse: Refuse = raise_error, one_class: bool = False, needs_class: bool = True
) -> Dataset:
    """Read the data sets of some folders as one; see `join`. Raises DataError as `read_dataset` does."""
    if not directories:
        raise DataError("--data: found no folder, expected at least one data set")
    twice = [one for number, one in enumerate(directories) if one.resolve() in map(Path.resolve, directories[:number])]
    if twice:
        raise DataError(f"{twice[0]}: found this folder twice, expected each data set once; name it once")
    return join([read_dataset(directory, refuse, one_class, needs_class) for directory in directories], refuse)


def join(datasets: Sequence[Dataset], refuse: Refuse = raise_error) -> Dataset:
    """Join data sets under the classes of the first, followed by further classes in their order.

    A part of a later set has the set's name in front of its own, so that equal names do not make one part. A picture
    that is in two sets counts once. Refuses one with two labels; raises DataError for two sets of one name.
    """
    first, *others = datasets
    if not others:
        return first
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise DataError(f"--data: found the folder names {', '.join(names)}, expected different ones; rename a folder")
    classes = tuple(dict.fromkeys(name for dataset in datasets for name in dataset.classes))
    samples = [_widened(sample, first.classes, classes, sample.part) for sample in first.samples]
    for dataset in others:
        samples += [_widened(one, dataset.classes, classes, f"{dataset.name}/{one.part}") for one in dataset.samples]
    citation = "\n".join(dict.fromkeys(dataset.citation for dataset in datasets if dataset.citation))
    unused = tuple(file for dataset in datasets for file in dataset.unused)
    return without_duplicates(Dataset(" + ".join(names), classes, tuple(samples), citation, unused), refuse)


def _widened(sample: Sample, own: Sequence[str], classes: Sequence[str], part: str) -> Sample:
    """The sample under other classes, which contain its own."""
    drawn = dict(zip(own, sample.outlines, strict=True))
    return replace(sample, part=part, outlines=tuple(drawn.get(name) for name in classes))
