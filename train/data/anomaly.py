"""A data set under the one class `Anomaly`, for networks that learn good parts alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from train.data.dataset import Dataset, Masks, NotOutlined, Outline, Sample

ANOMALY = "Anomaly"


@dataclass(frozen=True)
class AnyOutline:
    """The union of some outlines."""

    outlines: tuple[Outline, ...]

    def load(self, height: int, width: int) -> Masks:
        """The mask, bool [height, width]. Raises DataError as each outline does."""
        union = np.zeros((height, width), dtype=np.bool_)
        for outline in self.outlines:
            union |= outline.load(height, width)
        return union


def is_anomaly(classes: Sequence[str]) -> bool:
    """Whether these are the classes of a network that learns good parts alone."""
    return tuple(classes) == (ANOMALY,)


def as_anomaly(dataset: Dataset) -> Dataset:
    """The same images, each defect of the class `ANOMALY`; there may be none."""
    return replace(dataset, classes=(ANOMALY,), samples=tuple(map(_joined, dataset.samples)))


def _joined(sample: Sample) -> Sample:
    outlines = tuple(outline for outline in sample.outlines if outline is not None)
    if len(outlines) > 1:
        whole = not any(isinstance(outline, NotOutlined) for outline in outlines)
        outlines = (AnyOutline(outlines) if whole else NotOutlined(),)
    return replace(sample, outlines=outlines or (None,))
