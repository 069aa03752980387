"""Images and parts on each side of a split, with a warning where there are too few."""

from collections.abc import Iterable, Iterator

from train.data.check.findings import Finding
from train.data.dataset import Dataset, Sample
from train.data.splits import SIDES, Split, sides_of

FEWEST_PARTS = 8
"""Parts of a class below which its figures rest on one or two in the test part."""
FEWEST_ON_A_SIDE = 3
"""Parts of a class in validation or test below which a single part decides its figures."""


def side_counts(split: Split, dataset: Dataset) -> Iterator[tuple[str, ...]]:
    """One row per side with images: name, images, parts, then good images and those of each class, with their parts."""
    for side, samples in sides_of(split, dataset).items():
        if not samples:  # of a split without a validation part
            continue
        kinds = (having for _, having in _kinds(dataset, samples))
        yield side, str(len(samples)), str(_parts(samples)), *(f"{len(one)} ({_parts(one)})" for one in kinds)


def side_lines(split: Split, dataset: Dataset) -> Iterator[str]:
    """The same as one line of text per side."""
    names = ("good", *dataset.classes)
    for side, images, parts, *counts in side_counts(split, dataset):
        named = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
        yield f"{side}: {images} images of {parts} parts; images (parts): {named}"


def thin_sides(split: Split, dataset: Dataset) -> Iterator[Finding]:
    """A warning for classes of which the validation or test part has fewer than `FEWEST_ON_A_SIDE` parts.

    Without classes of fewer than `FEWEST_PARTS` parts in all, of which `check_images` warns.
    """
    sides = sides_of(split, dataset)
    few = [
        f"{name} in {side} {count}"
        for name, samples in _kinds(dataset, dataset.samples)
        if _parts(samples) >= FEWEST_PARTS
        for side in SIDES[1:]
        if sides[side]
        and (count := len({one.part for one in samples} & {one.part for one in sides[side]})) < FEWEST_ON_A_SIDE
    ]
    if few:
        yield Finding(
            f"split: found few parts on a side ({', '.join(few)}), expected at least {FEWEST_ON_A_SIDE}: thresholds "
            "and figures of these rest on single parts; add parts, or use folds (train split --folds)",
            False,
        )


def _kinds(dataset: Dataset, samples: Iterable[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    """The good samples, then those of each class."""
    samples = list(samples)
    yield "good", [one for one in samples if one.good]
    for index, name in enumerate(dataset.classes):
        yield name, [one for one in samples if one.labels[index]]


def _parts(samples: Iterable[Sample]) -> int:
    return len({one.part for one in samples})
