"""Comparison of two networks on the same held-out parts: fixed parts, broken parts, significance.

The test is McNemar's exact one (1947) on parts: of the parts that the networks judge differently, the number that the
later one judges rightly is binomial with 1/2 if they are equally good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom  # type: ignore[import-untyped]

from train.data.dataset import Dataset, Sample
from train.data.image_set import load_images
from train.device import Compute
from train.evaluate.outputs import predictions
from train.evaluate.part_metrics import group, worst
from train.evaluate.predict import predict_with
from train.evaluate.rates import rate
from train.evaluate.tables import Grid, percent, rate_text
from train.models.checkpoint import Checkpoint

SIGNIFICANT = 0.05
"""Probability of at least as many fixed parts by chance, below which the later network is called better."""

Conclusion = Literal["better", "worse", "not shown to be better"]


@dataclass(frozen=True)
class PartChange:
    """One held-out part, judged by both networks; a part is rejected if one of its views is."""

    part: str
    truth: str
    """Names of its classes, or empty for a good part."""
    rejected_before: bool
    rejected_after: bool
    is_new: bool
    """Whether the earlier network's split does not know the part's images."""

    @property
    def right_before(self) -> bool:
        """Whether the earlier network judges it rightly."""
        return self.rejected_before == bool(self.truth)

    @property
    def right_after(self) -> bool:
        """Whether the later network judges it rightly."""
        return self.rejected_after == bool(self.truth)


@dataclass(frozen=True)
class Improvement:
    """All held-out parts of both networks."""

    parts: tuple[PartChange, ...]

    def changed(self, *, fixed: bool) -> list[PartChange]:
        """Parts that only the later network judges correctly (fixed), or only the earlier one (broken)."""
        return [part for part in self.parts if part.right_after != part.right_before and part.right_after == fixed]

    @property
    def chance(self) -> float:
        """Probability of at least as many fixed parts among the changed ones if the networks were equally good."""
        fixed, broken = len(self.changed(fixed=True)), len(self.changed(fixed=False))
        return float(binom.sf(fixed - 1, fixed + broken, 0.5)) if fixed else 1.0

    @property
    def conclusion(self) -> Conclusion:
        """Better only where it is shown, and where neither escapes nor false rejects have become more."""
        fixed, broken = self.changed(fixed=True), self.changed(fixed=False)
        more = any(
            sum(bool(one.truth) == defective for one in broken) > sum(bool(one.truth) == defective for one in fixed)
            for defective in (True, False)
        )
        if not more and self.chance < SIGNIFICANT:
            return "better"
        return "worse" if len(broken) > len(fixed) else "not shown to be better"


def compare_checkpoints(
    before: Checkpoint, after: Checkpoint, dataset: Dataset, samples: Sequence[Sample], compute: Compute
) -> Improvement:
    """Judge held-out samples of `dataset` with two checkpoints, each with its own thresholds.

    The earlier checkpoint may lack classes. Raises DataError for a damaged image.
    """
    rejected = [_rejected(one, dataset, samples, compute) for one in (before, after)]
    labels = np.array([sample.labels for sample in samples], dtype=np.bool_)  # [N, C]
    numbers = group([sample.part for sample in samples], labels)
    known = before.meta.split.images
    first = {int(number): index for index, number in reversed(list(enumerate(numbers)))}
    judged = [worst(one, numbers) for one in rejected]
    return Improvement(
        tuple(
            PartChange(
                samples[index].part,
                ", ".join(name for name, has in zip(dataset.classes, samples[index].labels, strict=True) if has),
                bool(judged[0][number]),
                bool(judged[1][number]),
                samples[index].sha256 not in known,
            )
            for number, index in sorted(first.items())
        )
    )


def _rejected(
    checkpoint: Checkpoint, dataset: Dataset, samples: Sequence[Sample], compute: Compute
) -> NDArray[np.bool_]:
    """Whether the checkpoint rejects each picture, bool [N]; masks of classes that it lacks do not matter."""
    classes = checkpoint.meta.classes
    drawn = [dict(zip(dataset.classes, sample.outlines, strict=True)) for sample in samples]
    own = [
        Sample(sample.path, sample.part, tuple(one.get(name) for name in classes), sample.bits)
        for sample, one in zip(samples, drawn, strict=True)
    ]
    images = load_images(own, checkpoint.meta.input, len(classes))
    rows = predictions(predict_with(checkpoint, images, compute), images, checkpoint.meta.thresholds)
    return np.array([row.found.any() for row in rows], dtype=np.bool_)


COLUMNS = ("held-out parts", "number", "wrong before", "wrong after", "fixed", "broken")


def counts_grid(found: Improvement) -> Grid:
    """Counts of defective and good parts, held out before and new, under `COLUMNS`."""
    rows = []
    for defective, is_new in ((True, False), (False, False), (True, True), (False, True)):
        chosen = [part for part in found.parts if bool(part.truth) == defective and part.is_new == is_new]
        if not chosen:
            continue
        name = f"{'defective' if defective else 'good'}, {'new' if is_new else 'held out before'}"
        wrong = sum(not part.right_before for part in chosen), sum(not part.right_after for part in chosen)
        fixed = sum(part.right_after and not part.right_before for part in chosen)
        rows.append((name, str(len(chosen)), *map(str, (*wrong, fixed, wrong[1] - wrong[0] + fixed))))
    return Grid(COLUMNS, tuple(rows))


def lines(found: Improvement) -> list[str]:
    """The rates by part with intervals, the broken parts by name, and the conclusion."""
    said = [_rates("escapes", [part for part in found.parts if part.truth])]
    said.append(_rates("false rejects", [part for part in found.parts if not part.truth]))
    said += [f"broken: {part.part} ({part.truth or 'good'})" for part in found.changed(fixed=False)]
    chance = f"chance of at least as many fixed parts {percent(found.chance)} %"
    return [*said, f"the later network is {found.conclusion}: {chance}, expected under {percent(SIGNIFICANT)} %"]


def _rates(name: str, parts: Sequence[PartChange]) -> str:
    before, after = sum(not part.right_before for part in parts), sum(not part.right_after for part in parts)
    return f"{name} by part: {rate_text(rate(before, len(parts)))}; after: {rate_text(rate(after, len(parts)))}"
