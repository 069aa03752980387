"""Splits into training, validation and test part: random, or by part."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import Field, ValidationError

from bundle import ExposureRule, FrozenModel, first_problem, write_whole
from train.data.anomaly import ANOMALY, is_anomaly
from train.data.dataset import Dataset, Sample
from train.data.stratify import Parts, deal, parts_of, shuffled
from train.errors import SplitError

Kind = Literal["random", "by-part"]
Side = Literal["train", "val", "test"]

KINDS: tuple[Kind, ...] = get_args(Kind)
SIDES: tuple[Side, ...] = get_args(Side)
SHARES: Mapping[Side, float] = {"train": 0.75, "val": 0.125, "test": 0.125}
"""Shares of the paper."""

_MEASURING: tuple[Side, ...] = ("test", "val")
"""Sides that measure a network."""
_EIGHT: tuple[Side, ...] = ("train", "train", "train", "val", "train", "train", "test", "train")


class Split(FrozenModel):
    """A split as it is stored: the side of each image, by the sha256 of its file."""

    kind: Kind
    seed: int = Field(ge=0)
    images: dict[str, Side]


def make_split(dataset: Dataset, kind: Kind, seed: int) -> Split:
    """Split 75 / 12.5 / 12.5, the same way for the same seed.

    "random" deals the shuffled images of each label set out in turn, so every class has its share on each side.
    "by-part" keeps all images of a part on one side. Either way every class is on each side, with at least one image or
    part. Raises SplitError where a class has too few for that, unless it is only measured (`_measured`).
    """
    generator = np.random.default_rng(seed)
    sides = _random(dataset, generator) if kind == "random" else _by_part(dataset, generator)
    return Split(kind=kind, seed=seed, images={sample.sha256: side for sample, side in sides})


def extend_split(split: Split, dataset: Dataset, new_shares: Mapping[Side, float] | None = None) -> Split:
    """The split with the images that it lacks: those of a known part on the side of that part, the others dealt.

    No image changes its side. new_shares: of the new parts of each class; by default the new parts are dealt such that
    old and new images together have `SHARES`. Raises SplitError where the images of a part are on two sides already.
    """
    parts, key = parts_of(dataset, keyed(split.kind)), keyed(split.kind)
    known = _known_sides(split, dataset)
    order = shuffled(parts, np.random.default_rng(split.seed))
    if new_shares is None:
        given = deal(parts, order, SHARES, known)
    else:
        new = {name: kinds for name, kinds in parts.items() if name not in known}
        given = known | deal(new, [name for name in order if name in new], new_shares)
    images = split.images | {sample.sha256: given[key(sample)] for sample in dataset.samples}
    return Split(kind=split.kind, seed=split.seed, images=images)


def _known_sides(split: Split, dataset: Dataset) -> dict[str, Side]:
    """The side of each part of which the split names an image. Raises SplitError for a part on two sides."""
    key, known = keyed(split.kind), dict[str, Side]()
    for sample in dataset.samples:
        side = split.images.get(sample.sha256)
        if side is not None and known.setdefault(key(sample), side) != side:
            raise SplitError(
                f"{sample.path}: found part {sample.part} in the {known[key(sample)]} and the {side} part of the "
                "split, expected its images together; if the pattern of the parts has changed, make a new split"
            )
    return known


def keyed(kind: Kind) -> Callable[[Sample], str]:
    """Key of an image's part, whose images stay together; with "random" each image is a part of its own."""
    return (lambda sample: sample.part) if kind == "by-part" else (lambda sample: sample.sha256)


def sides_of(split: Split, dataset: Dataset, exposures: ExposureRule = "worst") -> dict[Side, tuple[Sample, ...]]:
    """The data set's samples by side.

    Raises SplitError for an image that the split does not know, and for a random split where the exposures of a part
    are judged together: they have to be on one side.
    """
    if split.kind == "random" and exposures != "worst":
        raise SplitError(
            f'split: found a random one with thresholds.exposures = "{exposures}", expected by-part: the exposures of '
            "a part are judged together only where they are on one side of the split"
        )
    strangers = [sample for sample in dataset.samples if sample.sha256 not in split.images]
    if strangers:
        raise SplitError(
            f"split: found {len(strangers)} of {len(dataset.samples)} images that it does not name, "
            f"first {strangers[0].path}; expected all; make a split of this data with `train split`"
        )
    return {side: tuple(s for s in dataset.samples if split.images[s.sha256] == side) for side in SIDES}


def without_validation(split: Split) -> Split:
    """The split with the images of its validation part in the training part."""
    sides: dict[str, Side] = {image: "train" if side == "val" else side for image, side in split.images.items()}
    return split.model_copy(update={"images": sides})


def named_split(name: str, dataset: Dataset, seed: int) -> Split:
    """The split that a command-line option names: `random`, `by-part`, or a split file.

    Raises SplitError, for a part on two sides of a file "by-part" as well.
    """
    kinds: dict[str, Kind] = {kind: kind for kind in KINDS}
    if name in kinds:
        return make_split(dataset, kinds[name], seed)
    split = load_split(Path(name))
    _known_sides(split, dataset)
    return split


def check_part(split: str | None, part: str) -> None:
    """Raise SplitError for a named split beside the part `all`, which takes every image whatever the split."""
    if split is not None and part == "all":
        raise SplitError(
            f"split: found {split} with part all, which takes every image whatever the split; expected --part train, "
            "val or test beside --split, or no --split"
        )


def part_counts(split: Split) -> dict[Side, int]:
    """Number of images on each side of a split."""
    counts = Counter(split.images.values())
    return {side: counts[side] for side in SIDES}


def save_split(split: Split, path: Path) -> None:
    """Write the split as JSON, the images sorted by hash."""
    content = split.model_dump() | {"images": dict(sorted(split.images.items()))}
    write_whole(path, json.dumps(content, indent=1) + "\n")


def write_lists(split: Split, dataset: Dataset, folder: Path) -> None:
    """Write the absolute paths of each side's images to `train.txt`, `val.txt` and `test.txt`, one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for side, samples in sides_of(split, dataset).items():
        paths = [str(sample.path.resolve()) for sample in samples]
        (folder / f"{side}.txt").write_text("\n".join(paths) + "\n", encoding="utf-8")


def load_split(path: Path) -> Split:
    """Read a split file. Raises SplitError if it is missing, damaged or has unknown keys or values."""
    try:
        return Split.model_validate_json(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SplitError(f"{path}: cannot be read ({error.strerror}); name a split file, random or by-part") from error
    except (ValidationError, UnicodeDecodeError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else "not UTF-8"
        raise SplitError(f"{path}: {problem}; expected what `train split` writes") from error


def _random(dataset: Dataset, generator: np.random.Generator) -> Iterable[tuple[Sample, Side]]:
    order = generator.permutation(len(dataset.samples))
    ordered = sorted((dataset.samples[index] for index in order), key=lambda sample: sample.labels)
    parts = parts_of(dataset, keyed("random"))
    given = {sample.sha256: _EIGHT[place % 8] for place, sample in enumerate(ordered)}
    if any(_lacks_a_side(having, given) for having in _parts_by_class(dataset, parts).values()):
        names = [sample.sha256 for sample in ordered]
        given = deal(parts, names, SHARES, _measured(dataset, parts, names))  # a class of less than eight images
    _check_every_side(dataset, parts, given, "random")
    return ((sample, given[sample.sha256]) for sample in ordered)


def _by_part(dataset: Dataset, generator: np.random.Generator) -> Iterable[tuple[Sample, Side]]:
    parts = parts_of(dataset, keyed("by-part"))
    order = shuffled(parts, generator)
    given = deal(parts, order, SHARES, _measured(dataset, parts, order))
    _check_every_side(dataset, parts, given, "by-part")
    return ((sample, given[sample.part]) for sample in dataset.samples)


def _measured(dataset: Dataset, parts: Parts, order: Iterable[str]) -> dict[str, Side]:
    """The sides of defective parts that are fewer than sides where good parts alone are learnt: the test part first."""
    having = [name for name in order if ANOMALY in parts[name]]
    few = is_anomaly(dataset.classes) and len(having) < len(SIDES)
    return dict(zip(having, _MEASURING, strict=False)) if few else {}


def _parts_by_class(dataset: Dataset, parts: Parts) -> dict[str, list[str]]:
    """Names of the parts that have each class, where any has it."""
    having = {name: [part for part, kinds in parts.items() if name in kinds] for name in dataset.classes}
    return {name: found for name, found in having.items() if found}


def _lacks_a_side(having: Sequence[str], given: Mapping[str, Side]) -> bool:
    return len({given[part] for part in having}) < len(SIDES)


def _check_every_side(dataset: Dataset, parts: Parts, given: Mapping[str, Side], kind: Kind) -> None:
    for name, having in _parts_by_class(dataset, parts).items():
        if _lacks_a_side(having, given) and not _measured(dataset, parts, having):
            images = sum(parts[part][name] for part in having)
            many = kind == "by-part" and images >= len(SIDES)
            raise SplitError(
                f"{kind} split: found {len(having)} {'parts' if kind == 'by-part' else 'images'} with {name}"
                f"{f' in {images} images' if many else ''}, expected at least one each for train, val and test; add "
                f"parts of that class{_WHERE_PARTS_ARE_JOINED if many else ''}"
            )


_WHERE_PARTS_ARE_JOINED = (
    ", correct the pattern `part` of dataset.toml if it takes different parts for one, or use the split `random`, "
    "whose figures are too good"
)
