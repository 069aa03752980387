"""Stratified split of parts: each side gets its share of every class."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from train.data.dataset import Dataset, Sample

S = TypeVar("S", bound=Hashable)
"""Name of a side, such as "train"."""

Parts = Mapping[str, Counter[str]]
"""Per part, how many of its images have each class; those with none count as "good"."""


def parts_of(dataset: Dataset, key: Callable[[Sample], str]) -> dict[str, Counter[str]]:
    """Count the classes of each part, which `key` names for an image."""
    parts: dict[str, Counter[str]] = {}
    for sample in dataset.samples:
        kinds = [name for name, has in zip(dataset.classes, sample.labels, strict=True) if has] or ["good"]
        parts.setdefault(key(sample), Counter()).update(kinds)
    return parts


def shuffled(parts: Parts, generator: np.random.Generator) -> list[str]:
    """The parts' names in random order."""
    names = sorted(parts)
    return [names[index] for index in generator.permutation(len(names))]


def deal(
    parts: Parts, order: Sequence[str], shares: Mapping[S, float], before: Mapping[str, S] | None = None
) -> dict[str, S]:
    """The side of each part, dealt in this order, the rarest class first; parts in `before` keep theirs.

    A part goes to a side that has none of the class yet, else to the one that lacks most of its share of images.
    """
    total = sum(parts.values(), Counter())
    got: dict[S, Counter[str]] = {side: Counter() for side in shares}
    given: dict[str, S] = dict(before or {})
    for name, side in given.items():
        got[side].update(parts[name])
    for kind in _rarest_first(parts):
        for name in (name for name in order if kind in parts[name] and name not in given):
            given[name] = _neediest(kind, total[kind], got, shares)
            got[given[name]].update(parts[name])
    return given


def _rarest_first(parts: Parts) -> list[str]:
    spread = Counter(kind for kinds in parts.values() for kind in kinds)
    return sorted(spread, key=lambda kind: (spread[kind], kind))


def _neediest(kind: str, total: int, got: Mapping[S, Mapping[str, int]], shares: Mapping[S, float]) -> S:
    without = [side for side in shares if not got[side].get(kind)]
    return without[0] if without else max(shares, key=lambda side: shares[side] * total - got[side][kind])
