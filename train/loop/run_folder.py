"""Folder of a run: data, checkpoints, evaluation of the best one, report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bundle import Threshold, write_whole
from bundle.manifest import SIZES
from train.data.dataset import Dataset, Sample
from train.data.image_set import ImageSet, load_images
from train.data.splits import SIDES, Side, Split, sides_of
from train.device import Compute
from train.errors import CheckpointError, SplitError
from train.evaluate.held_out import HELD_OUT
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import predictions
from train.evaluate.predict import predict_with
from train.evaluate.prediction_files import FILE, named_predictions, save_predictions
from train.evaluate.tables import metrics_table, untrained
from train.models.checkpoint import Checkpoint, Meta, load_checkpoint, save_checkpoint, software
from train.recipe import Recipe, first_difference
from train.report.run_report import PartEvaluation, write_report

BEST, LAST = "best.pt", "last.pt"
"""File names of the checkpoints of the best epoch, and of the last one with the state of training."""


class RunFolder:
    """Base of every run: data by side, test of the best checkpoint, its files in the folder.

    Raises SplitError if a part of the split has no image; where the recipe chooses thresholds by folds, there may be no
    validation part. Raises CheckpointError if the folder cannot be one.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, split: Split, out: Path, compute: Compute, console: Console):
        _check_folder(out)
        self.recipe, self.dataset, self.split, self.out = recipe, dataset, split, out
        self.compute, self.console = compute, console
        self.samples = sides_of(split, dataset, recipe.thresholds.exposures)
        needed = [side for side in SIDES if side != "val" or recipe.thresholds.folds == 1]
        _check_parts({side: self.samples[side] for side in needed}, dataset.name)
        self.init = self.teacher = ""
        self.members: tuple[str, ...] = ()
        self.seen: frozenset[str] = frozenset()
        self.learnt: dict[str, Any] = {}
        """Facts of the training pictures; empty until they are loaded."""

    @property
    def best(self) -> Path:
        """Checkpoint of the best epoch."""
        return self.out / BEST

    @property
    def rows(self) -> Sequence[dict[str, Any]]:
        """Rows of the history, for the report; none of a network that is not trained in epochs."""
        return ()

    def test(self) -> Metrics:
        """Evaluate the best checkpoint on the test part; prints and writes metrics, predictions and report."""
        best = load_checkpoint(self.best)
        found = self.evaluate_part(best, "test")
        measured = best.meta.metrics | {"test": found.metrics.model_dump(mode="json")}
        meta = best.meta.model_copy(update={"metrics": measured})
        save_checkpoint(Checkpoint(meta, best.weights), self.best)
        save_predictions(found.predictions, self.out / FILE)
        write_whole(self.out / "metrics.json", json.dumps(measured, indent=1) + "\n")
        report = self.out / "report.html"
        write_whole(report, write_report(meta, self.rows, found))
        title = f"test part, epoch {best.meta.epoch} (best {self.recipe.run.best})" if self.rows else "test part"
        self.console.print(metrics_table(found.metrics, title), f"report: {report}")
        warn(self.console, untrained(found.metrics))
        return found.metrics

    def evaluate_part(self, checkpoint: Checkpoint, side: Side) -> PartEvaluation:
        """Evaluate a checkpoint on one part of the split, with its own thresholds."""
        images = self.load(side)
        outputs = predict_with(checkpoint, images, self.compute)
        rows = predictions(outputs, images, checkpoint.meta.thresholds)
        found = named_predictions(self.dataset.classes, self.samples[side], rows)
        return PartEvaluation(images, outputs, found, found.metrics())

    def load(self, side: Side) -> ImageSet:
        """Load the images of one part of the split."""
        return load_images(self.samples[side], self.recipe.input, len(self.dataset.classes))

    def _meta(self, thresholds: dict[str, Threshold], metrics: Metrics | None, epoch: int, example: str = "") -> Meta:
        """metrics: of the validation part, or of the training part as heads judged it that had not learnt it."""
        judged = "val" if self.samples["val"] else HELD_OUT
        measured = {} if metrics is None else {judged: metrics.model_dump(mode="json")}
        return Meta(
            recipe=self.recipe,
            classes=self.dataset.classes,
            split=self.split,
            thresholds=thresholds,
            epoch=epoch,
            metrics={"train": self.learnt, **measured},
            data=self.dataset.name,
            citation=self.dataset.citation,
            software=software(),
            seen=tuple(sorted(self.seen)),
            init=self.init,
            teacher=self.teacher,
            members=self.members,
            example=example,
        )

    def _check_same(self, stored: Meta, recipe: Recipe) -> None:
        for what, found, expected, difference in (
            ("recipe", recipe, self.recipe, first_difference(recipe, self.recipe)),
            ("split", stored.split, self.split, ""),
            ("classes", stored.classes, self.dataset.classes, ""),
        ):
            if found != expected:
                raise CheckpointError(
                    f"{self.out}: holds a run with another {what}{difference}; "
                    "name another --out, or resume it with the same recipe, seed and split"
                )


def warn(console: Console, problem: str | None) -> None:
    """Print a warning in one line; nothing for None."""
    if problem is not None:
        console.print(f"warning: {problem}", highlight=False, soft_wrap=True)


def learnt_pictures(images: ImageSet) -> dict[str, Any]:
    """Brightness and sizes of the training pictures, against which the station holds its frames: metrics of "train".

    "brightness": first and last percentile of the pictures' mean levels, 0 to 255. "sizes": least height and
    width of the pictures before preprocessing, and their greatest.
    """
    low, high = np.percentile(images.images.mean(axis=(1, 2, 3)), (1, 99))
    return {"brightness": [round(float(low), 1), round(float(high), 1)], SIZES: images.sizes}


def _check_folder(out: Path) -> None:
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise CheckpointError(f"--out {out}: found the file {there}, expected a folder or nothing yet; name another")


def _check_parts(samples: Mapping[Side, Sequence[Sample]], name: str) -> None:
    empty = [side for side, found in samples.items() if not found]
    if empty:
        counts = ", ".join(f"{side} {len(found)}" for side, found in samples.items())
        raise SplitError(
            f"split: found no image of {name} in the {' and '.join(empty)} part ({counts}), expected at least one "
            "in each; add images, or name another split with --split: that of a run with thresholds.folds has no "
            "validation part any more"
        )
