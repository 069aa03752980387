"""Suspect labels: parts whose pictures have different classes, and confident predictions against the label.

The judgement must come from networks that did not see the part: the test parts of folds (`train pool`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import Dataset, Sample
from train.data.relabel import GOOD
from train.errors import DataError
from train.evaluate.prediction import Prediction
from train.evaluate.prediction_files import Predictions


@dataclass(frozen=True)
class Suspect:
    """One picture whose label is in doubt."""

    sample: Sample
    label: str
    """The classes' names, or good."""
    opinion: str
    """The classes that the network found, or good."""
    score: float
    """Confidence of the opinion: the largest score where something was found, else one minus it."""
    reason: str

    def line(self) -> Mapping[str, str]:
        """Its line in `relabel.csv`."""
        return {
            "sha256": self.sample.sha256,
            "name": self.sample.path.name,
            "part": self.sample.part,
            "label": self.label,
            "opinion": self.opinion,
            "score": f"{self.score:.3f}",
            "reason": self.reason,
            "new_label": "",
        }


def find_suspects(judged: Predictions, dataset: Dataset, confidence: float) -> list[Suspect]:
    """The suspects, part by part, the most confident opinion first.

    confidence: the least score, 0 to 1, of an opinion that shares no class with the label; parts with several classes
    are listed whatever the network says. Raises DataError for a picture that the data set does not have.
    """
    samples = {sample.sha256: sample for sample in dataset.samples}
    groups: dict[str, list[tuple[Sample, Prediction]]] = defaultdict(list)
    for row in judged.images:
        if row.image not in samples:
            raise DataError(
                f"{row.name}: found in the predictions, but not in {dataset.name}; name the data they are of"
            )
        groups[samples[row.image].part].append((samples[row.image], row))
    found = [suspects for pictures in groups.values() if (suspects := _of_part(pictures, judged.classes, confidence))]
    return [one for suspects in sorted(found, key=lambda group: -max(one.score for one in group)) for one in suspects]


def _of_part(pictures: Sequence[tuple[Sample, Prediction]], classes: Sequence[str], confidence: float) -> list[Suspect]:
    """The suspects of one part; where its defective pictures bear several classes, all of these."""
    labels = [_names(row.labels, classes) for _, row in pictures]
    several = len(set(labels) - {GOOD}) > 1
    made = []
    for (sample, row), label in zip(pictures, labels, strict=True):
        opinion = _names(row.found, classes)
        largest = float(row.scores.max())
        score = 1 - largest if opinion == GOOD else largest
        against = not set(opinion.split("+")) & set(label.split("+")) and score >= confidence
        if several and label != GOOD:
            others = ", ".join(sorted(set(labels) - {GOOD, label}))
            made.append(Suspect(sample, label, opinion, score, f"other pictures of the part are {others}"))
        elif against:
            made.append(Suspect(sample, label, opinion, score, "judged otherwise by a network that never saw the part"))
    return made


def _names(has: NDArray[np.bool_], classes: Sequence[str]) -> str:
    return "+".join(name for name, there in zip(classes, has, strict=True) if there) or GOOD
