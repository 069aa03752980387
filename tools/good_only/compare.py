"""Fits the methods to one split of one data set, and measures each on its test part."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import torch
from rich.console import Console
from sklearn.metrics import average_precision_score
from torch import Tensor

from tools.good_only.methods import NoiseDiscriminator, StudentTeacher
from train.cli.training import following
from train.data.check.checks import check_images
from train.data.image_set import ImageSet
from train.data.readers import read_dataset
from train.data.splits import named_split
from train.device import choose_compute
from train.evaluate.part_metrics import group, worst
from train.evaluate.rates import area_under_roc
from train.evaluate.tables import Grid, percent
from train.loop.memory_run import MemoryRun
from train.models.network import image_scores
from train.recipe import load_recipe

MEMORY, STUDENT, NOISE = "memory of patches", "student and teacher", "noise in the features"
Score = Callable[[Tensor], Tensor]
"""Scores [B] of frames uint8 [B, channels, H, W]."""


@dataclass(frozen=True)
class Measured:
    """One method on the test part."""

    name: str
    scores: np.ndarray[tuple[int], np.dtype[np.float32]]
    """Of each picture."""
    images: ImageSet
    fit_s: float
    """Processor time, the encoder's included."""
    picture_ms: float
    """Processor time of one picture by itself, the encoder's included."""

    def ranking(self, by_part: bool) -> tuple[float | None, float]:
        """AUROC and average precision, by picture or by part: the worst of its views."""
        labels = self.images.labels
        numbers = group(self.images.parts, labels) if by_part else np.arange(len(labels))
        defective, scores = worst(np.asarray(labels.any(axis=1)), numbers), worst(self.scores, numbers)
        return area_under_roc(defective, scores), float(average_precision_score(defective, scores))


def compare(
    data: Path, overrides: Sequence[str], split: str, seed: int, steps: int, noise: float
) -> Iterator[Measured]:
    """Fit each method to the good pictures of one split; yields it as measured on the test part.

    overrides: of the recipe `good-only`. Raises TrainError as `train` does.
    """
    dataset = read_dataset(data, one_class=True)
    recipe = load_recipe("good-only", [*overrides, f"seed={seed}"])
    sides = named_split(split, dataset, seed)
    recipe, _ = following(recipe, check_images(dataset, recipe.input), sides)
    compute = choose_compute("cpu", "float32")
    with tempfile.TemporaryDirectory() as out:
        run = MemoryRun(recipe, dataset, sides, Path(out), compute, Console(quiet=True))
        train, val, test = run.load("train"), run.load("val"), run.load("test")
        good = torch.from_numpy(train.images)
        held_out = torch.from_numpy(val.images[~val.labels.any(axis=1)])
        fit_s = _timed(lambda: run.fit(train, val))
    yield _measured(MEMORY, lambda frames: image_scores(run.network(frames))[:, 0], test, fit_s)
    torch.manual_seed(seed)
    for name, method in (
        (STUDENT, StudentTeacher(run.network, recipe.input.channels)),
        (NOISE, NoiseDiscriminator(run.network, noise)),
    ):
        fit_s = _timed(partial(method.fit, good, held_out, steps, torch.Generator().manual_seed(seed)))
        yield _measured(name, method, test, fit_s)


def table(found: Sequence[Measured]) -> Grid:
    """Shares in percent."""
    columns = (
        "method", "AUROC by picture", "AUROC by part", "AP by picture", "AP by part", "seconds of fitting",
        "ms per picture",
    )  # fmt: skip
    rows = []
    for one in found:
        (roc, precision), (part_roc, part_precision) = one.ranking(by_part=False), one.ranking(by_part=True)
        shares = map(percent, (roc, part_roc, precision, part_precision))
        rows.append((one.name, *shares, f"{one.fit_s:.0f}", f"{one.picture_ms:.0f}"))
    return Grid(columns, tuple(rows))


@torch.inference_mode()
def _measured(name: str, score: Score, test: ImageSet, fit_s: float) -> Measured:
    times, scores = [], []
    for picture in torch.split(torch.from_numpy(test.images), 1):
        started = process_time()
        scores.append(float(score(picture)))
        times.append(process_time() - started)
    return Measured(name, np.array(scores, np.float32), test, fit_s, 1e3 * float(np.median(times)))


def _timed(work: Callable[[], object]) -> float:
    started = process_time()
    work()
    return process_time() - started
