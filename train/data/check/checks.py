"""Findings on a data set: problems that prevent training, and warnings about unreliable metrics."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

from bundle import InputSpec, Tiling
from train.data.anomaly import is_anomaly
from train.data.check.findings import Finding, examples, problem
from train.data.check.image_facts import ImageFacts, facts_or_error
from train.data.check.split_counts import FEWEST_PARTS, thin_sides
from train.data.dataset import Dataset
from train.data.duplicates import near_duplicates
from train.data.layouts.mask_folder import original_of
from train.data.readers import read_dataset
from train.data.splits import Kind, Split, make_split
from train.errors import DataError, SplitError

LEAST_DEFECT_PX = 4.0
"""Size of a defect (root of its area) in the network's input below which it is easily missed."""
_EXPOSURE_LEVELS = 40.0
"""Difference of a picture's mean from the median of all that is said."""
_SATURATED, _DARK = 0.5, 16
_ASPECT = 1.1
"""Change of a picture's aspect by the network's input that is said."""
_ROUND_TO_PX = 32
_LARGE_PX = 1_000_000
"""Pixels of an input beyond which tiles are named as another way."""


@dataclass
class DataReport:
    """Everything that the checks found."""

    dataset: Dataset
    facts: list[ImageFacts]
    findings: list[Finding] = field(default_factory=list)
    split: Split | None = None

    @property
    def problems(self) -> list[Finding]:
        """Findings that prevent training."""
        return [finding for finding in self.findings if finding.is_problem]

    @property
    def warnings(self) -> list[Finding]:
        """Findings that do not prevent training."""
        return [finding for finding in self.findings if not finding.is_problem]


def check_folder(directory: Path, spec: InputSpec, kind: Kind, seed: int, one_class: bool = False) -> DataReport:
    """Check a data set as a whole, its split included; goes on after each problem.

    one_class: see `read_dataset`.

    Raises DataError where there is no data set of a known layout, or its settings or classes cannot be read.
    """
    refused: list[DataError] = []
    dataset = read_dataset(directory, refused.append, one_class)
    report = check_images(dataset, spec, with_detail=True)
    report.findings[:0] = [problem(error) for error in refused]
    report.findings += _near(report.facts)
    try:
        report.split = make_split(dataset, kind, seed)
        report.findings += thin_sides(report.split, dataset)
    except SplitError as error:
        report.findings.append(Finding(str(error), True))
    report.findings += _unused(dataset)
    return report


def check_images(dataset: Dataset, spec: InputSpec, with_detail: bool = False, workers: int = 4) -> DataReport:
    """Decode every picture and mask, and hold them against each other and against the network's input."""
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(partial(facts_or_error, spec=spec, with_detail=with_detail), dataset.samples))
    facts = [one for one in found if isinstance(one, ImageFacts)]
    report = DataReport(dataset, facts)
    report.findings = [problem(one) for one in found if isinstance(one, DataError)]
    for look in (_labels, _copies, _sizes, _depths, _colours, _exposures):
        report.findings += look(report)
    report.findings += _vanished(report, spec)
    return report


def _labels(report: DataReport) -> Iterator[Finding]:
    dataset = report.dataset
    if all(sample.good for sample in dataset.samples):
        if is_anomaly(dataset.classes):
            yield Finding(f"{dataset.name}: no part with a defect: escapes cannot be measured; add some later", False)
            return
        yield Finding(f"{dataset.name}: found no image with a defect, expected some of each class; add them", True)
        return
    if not any(sample.good for sample in dataset.samples):
        yield Finding(f"{dataset.name}: no good part: false rejects cannot be measured; add good parts", False)
    for index, name in enumerate(dataset.classes):
        parts = {sample.part for sample in dataset.samples if sample.labels[index]}
        if not parts:
            yield Finding(f"class {name} has no image: it is not learnt and never found; remove it or add some", False)
        elif len(parts) < FEWEST_PARTS:
            yield Finding(
                f"class {name} has {len(parts)} parts, expected at least {FEWEST_PARTS}: its figures rest on one or "
                "two parts; add parts, or use folds (train split --folds)",
                False,
            )


def _copies(report: DataReport) -> Iterator[Finding]:
    copies = [one for one in report.dataset.samples if original_of(one.path.stem) != one.path.stem]
    originals = {original_of(one.path.stem) for one in copies}
    if len(copies) > len(originals):
        yield Finding(
            f"{len(copies)} pictures are copies that Roboflow made of {len(originals)} originals: figures of the "
            "test part are of changed pictures too; export without augmentation, `train` has its own",
            False,
            tuple(one.path for one in copies),
        )


def _sizes(report: DataReport) -> Iterator[Finding]:
    yield from _mixed(report.facts, lambda one: f"{one.width}x{one.height}", "sizes")


def _depths(report: DataReport) -> Iterator[Finding]:
    yield from _mixed(report.facts, lambda one: f"{one.bits} bits", "bit depths")


def _colours(report: DataReport) -> Iterator[Finding]:
    yield from _mixed(report.facts, lambda one: "colour" if one.is_colour else "grey", "kinds of pictures")


def _mixed(facts: Sequence[ImageFacts], key: Callable[[ImageFacts], str], what: str) -> Iterator[Finding]:
    kinds = Counter(key(one) for one in facts)
    if len(kinds) > 1:
        rare, _ = kinds.most_common()[-1]
        paths = tuple(one.sample.path for one in facts if key(one) == rare)
        counts = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(5))
        usual, _ = kinds.most_common(1)[0]
        listed = tuple(f"{one.sample.path}: {key(one)}" for one in facts if key(one) != usual)
        text = f"several {what}: {counts}, such as {examples(paths)}; one camera gives one"
        yield Finding(text, False, paths, listed)


def _exposures(report: DataReport) -> Iterator[Finding]:
    saturated = [one for one in report.facts if one.saturated > _SATURATED]
    dark = [one for one in report.facts if one.mean < _DARK]
    rest = [one for one in report.facts if one.saturated <= _SATURATED and one.mean >= _DARK]
    yield from _exposed(saturated, f"have more than {_SATURATED:.0%} of their pixels saturated", "saturated")
    yield from _exposed(dark, f"are nearly black (mean below {_DARK} of 255)", "mean")
    spreads = _spreads_of_parts(rest)
    several = [spread for spread in spreads if spread > _EXPOSURE_LEVELS]
    if 2 * len(several) > len(spreads):
        yield Finding(
            f"several exposures of each part: the pictures of {len(several)} of {len(spreads)} parts differ by "
            f"{median(several):.0f} levels of 255 (median); expose the parts at the line in the same way",
            False,
        )
        return
    usual = median([one.mean for one in rest] or [0])
    odd = [one for one in rest if abs(one.mean - usual) > _EXPOSURE_LEVELS]
    yield from _exposed(odd, f"are darker or brighter than the others (mean {usual:.0f} of 255)", "mean")


def _spreads_of_parts(facts: Iterable[ImageFacts]) -> list[float]:
    """Difference between the brightest and the darkest picture of each part that has several, 0 to 255."""
    means = defaultdict(list)
    for one in facts:
        means[one.sample.part].append(one.mean)
    return [max(of_part) - min(of_part) for of_part in means.values() if len(of_part) > 1]


def _exposed(facts: Sequence[ImageFacts], what: str, figure: Literal["mean", "saturated"]) -> Iterator[Finding]:
    if facts:
        paths = tuple(one.sample.path for one in facts)
        figures = (f"mean {one.mean:.0f} of 255" if figure == "mean" else f"{one.saturated:.0%}" for one in facts)
        listed = tuple(f"{path}: {shown}" for path, shown in zip(paths, figures, strict=True))
        text = f"{len(facts)} pictures {what}, such as {examples(paths)}; check lamp and exposure"
        yield Finding(text, False, paths, listed)


def _vanished(report: DataReport, spec: InputSpec) -> Iterator[Finding]:
    sizes = defaultdict(list)
    for one in report.facts:
        for defect in one.defects:
            sizes[defect.class_index].append((defect, one))
    for index, found in sorted(sizes.items()):
        smallest, one = min(found, key=lambda pair: pair[0].input_px)
        gone = sum(defect.vanished for defect, _ in found)
        if not gone and smallest.input_px >= LEAST_DEFECT_PX:
            continue
        name, factor = report.dataset.classes[index], LEAST_DEFECT_PX / smallest.input_px
        height, width = (min(_rounded(side * factor), most) for side, most in zip(*_sides(one, spec), strict=True))
        lost = f"{gone} of {len(found)} masks have no pixel left" if gone else "no mask is lost yet"
        yield Finding(
            f"class {name}: the smallest defect is {smallest.input_px:.1f} pixels at the network's input of "
            f"{spec.width}x{spec.height}, expected {LEAST_DEFECT_PX:.0f}; {lost} ({one.sample.path}); enlarge it: "
            f"--set input.height={height} --set input.width={width}{_or_tiles(one, spec, height * width)}",
            2 * gone >= len(found),
            (one.sample.path,),
        )
    yield from _distorted(report, spec)


def _sides(one: ImageFacts, spec: InputSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the network's input, with those of the picture, beyond which there is no more to see."""
    seen = (spec.crop.height, spec.crop.width) if spec.crop else (one.height, one.width)
    return (spec.height, spec.width), (_rounded(seen[0]), _rounded(seen[1]))


def _or_tiles(one: ImageFacts, spec: InputSpec, wanted_px: int) -> str:
    """Advice to judge in tiles, where the input would otherwise become large."""
    height, width = (spec.crop.height, spec.crop.width) if spec.crop else (one.height, one.width)
    if wanted_px < _LARGE_PX or min(height, width) < Tiling().height:
        return ""
    size = f"--set input.height={height} --set input.width={width} --set input.tiles.overlap={Tiling().overlap}"
    return f"; or judge in tiles: {size}"


def _rounded(side: float) -> int:
    return int(-(-side // _ROUND_TO_PX) * _ROUND_TO_PX)


def _distorted(report: DataReport, spec: InputSpec) -> Iterator[Finding]:
    if spec.crop is None and report.facts:
        one = report.facts[0]
        change = one.width / one.height * spec.height / spec.width
        if max(change, 1 / change) > _ASPECT:
            yield Finding(
                f"pictures of {one.width}x{one.height} are squeezed into {spec.width}x{spec.height}; choose an input "
                "of their aspect, or a crop",
                False,
            )


def _near(facts: Sequence[ImageFacts]) -> Iterator[Finding]:
    details = [one.detail for one in facts if one.detail is not None]
    for first, second, likeness in near_duplicates(details):
        one, other = facts[first].sample, facts[second].sample
        if one.part != other.part:
            yield Finding(
                f"{other.path}: nearly the same picture as {one.path} of another part (correlation {likeness:.2f}); "
                "name one part for both, or remove one",
                False,
                (one.path, other.path),
            )


def _unused(dataset: Dataset) -> Iterator[Finding]:
    reasons: dict[str, list[Path]] = defaultdict(list)
    for one in dataset.unused:
        reasons[one.reason].append(one.path)
    for reason, paths in reasons.items():
        listed = tuple(str(path) for path in paths)
        yield Finding(f"{len(paths)} files not taken ({reason}): {examples(paths)}", False, listed=listed)
