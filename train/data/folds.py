"""Folds: k splits of one data set, over which every image is in the test part once; groups of parts of one run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import Dataset
from train.data.splits import SHARES, SIDES, Kind, Side, Split, keyed
from train.data.stratify import Parts, deal, parts_of, shuffled
from train.errors import SplitError

_WITHOUT: Mapping[Side, str] = {
    "train": "its network does not learn the class",
    "val": "its threshold has no ground of its own: training refuses it, unless the classes share one "
    "(thresholds.shrinkage, as in own-parts, or thresholds.shared) or it is fixed (thresholds.choose=fixed)",
    "test": "it says nothing of the class",
}


@dataclass(frozen=True)
class Folds:
    """The splits, with remarks for a reader of their figures."""

    splits: tuple[Split, ...]
    remarks: tuple[str, ...]
    """One line per class that some fold lacks on one of its sides."""


def make_folds(dataset: Dataset, kind: Kind, seed: int, count: int) -> Folds:
    """Deal the parts to `count` test parts; of the others, validation gets an eighth of all, and training the rest.

    "by-part" keeps all images of a part together; for "random" each image is a part of its own. A class with at least
    as many parts as there are folds is in every test part, unless its parts have rarer classes that come first.
    Raises SplitError for fewer than two folds, or fewer parts than folds.
    """
    parts = parts_of(dataset, keyed(kind))
    if not 2 <= count <= len(parts):
        raise SplitError(f"--folds: found {count}, expected 2 to {len(parts)}, the number of parts in {dataset.name}")
    order = shuffled(parts, np.random.default_rng(seed))
    tested_in = deal(parts, order, dict.fromkeys(range(count), 1 / count))
    sides = [_sides(parts, order, {name for name in order if tested_in[name] == fold}) for fold in range(count)]
    return Folds(
        tuple(Split(kind=kind, seed=seed, images=_images(dataset, kind, side_of)) for side_of in sides),
        tuple(_remarks(dataset.classes, parts, sides)),
    )


def deal_groups(
    parts: Sequence[str], labels: NDArray[np.bool_], outlined: NDArray[np.bool_], seed: int, count: int
) -> NDArray[np.int64]:
    """The group of each image, int [N], by its part: `count` groups with about as many parts of each kind.

    parts: names, [N]. labels: bool [N, C]. outlined: bool [N], whether the image has an outlined defect. There are no
    more groups than parts with one, so that each group has some; and at least one group.
    """
    classes: dict[str, tuple[bool, ...]] = {}
    for part, row in zip(parts, labels.tolist(), strict=True):
        classes[part] = max(tuple(row), classes.get(part, ()))
    having = {part for part, has in zip(parts, outlined, strict=True) if has}
    order = np.random.default_rng(seed).permutation(sorted(classes)).tolist()
    order.sort(key=lambda part: (part not in having, classes[part]))  # those of a class lie in a row
    groups = max(1, min(count, len(having)))
    group = {part: number % groups for number, part in enumerate(order)}
    return np.array([group[part] for part in parts], dtype=np.int64)


def _sides(parts: Parts, order: Iterable[str], tested: set[str]) -> dict[str, Side]:
    rest = [name for name in order if name not in tested]
    carved = deal({name: parts[name] for name in rest}, rest, _shares(len(tested) / len(parts)))
    return {**dict.fromkeys(tested, "test"), **carved}


def _shares(tested: float) -> dict[Side, float]:
    """Of what is not tested; validation keeps its share of the whole."""
    val = SHARES["val"] / (1 - tested)
    return {"train": 1 - val, "val": val}


def _images(dataset: Dataset, kind: Kind, side_of: Mapping[str, Side]) -> dict[str, Side]:
    key = keyed(kind)
    return {sample.sha256: side_of[key(sample)] for sample in dataset.samples}


def _remarks(classes: Iterable[str], parts: Parts, folds: list[dict[str, Side]]) -> Iterable[str]:
    for name in classes:
        having = [part for part, kinds in parts.items() if name in kinds]
        held = [Counter(sides[part] for part in having) for sides in folds]
        for side in SIDES:
            lacking = [str(number) for number, counts in enumerate(held, start=1) if having and not counts[side]]
            if lacking:
                yield (
                    f"{name} has {len(having)} parts: none of them is in the {side} part of fold "
                    f"{', '.join(lacking)}; {_WITHOUT[side]}"
                )
