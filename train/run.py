"""A whole training run: data, epochs, checkpoints, the test at the end."""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from bundle import Threshold
from train.checkpoint import Checkpoint, Meta, build_network, load_checkpoint, save_checkpoint
from train.data import DeviceSet
from train.device import Compute
from train.errors import CheckpointError
from train.images import ImageSet, load_images
from train.metrics import Metrics
from train.models import make_network
from train.outputs import evaluate
from train.progress import EpochProgress
from train.recipe import Recipe
from train.samples import Dataset, Sample
from train.splits import Side, Split, save_split, sides_of
from train.tables import metrics_table, percent
from train.thresholds import check_positives, choose_thresholds
from train.trainer import Trainer, epoch_generator


@dataclass
class History:
    """What each epoch gave, kept in the checkpoint."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def best(self, name: str) -> float:
        """The best value of a measure so far."""
        return max((row["measures"][name] for row in self.rows), default=-np.inf)


class Run:
    """One run in one folder: `last.pt` after each epoch, `best.pt` after the best, `metrics.json` at the end."""

    def __init__(self, recipe: Recipe, dataset: Dataset, split: Split, out: Path, compute: Compute, console: Console):
        recipe.check_classes(dataset.classes)
        self.recipe, self.dataset, self.split, self.out = recipe, dataset, split, out
        self.compute, self.console = compute, console
        self.samples = sides_of(split, dataset)
        epoch_generator(recipe.seed, -1 % 2**32)  # the weights' start follows from the seed
        network = make_network(recipe.network, recipe.input.channels, len(dataset.classes))
        self.trainer = Trainer(network, recipe, len(dataset.classes), compute)
        self.history = History()

    @property
    def last(self) -> Path:
        """Where the run goes on from."""
        return self.out / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.out / "best.pt"

    def resume(self) -> None:
        """Take up the run in the folder, if there is one. Raises CheckpointError if it is of something else."""
        if not self.last.exists():
            return
        stored = load_checkpoint(self.last)
        for what, found, expected in (
            ("recipe", stored.meta.recipe, self.recipe),
            ("split", stored.meta.split, self.split),
            ("classes", stored.meta.classes, self.dataset.classes),
        ):
            if found != expected:
                raise CheckpointError(
                    f"{self.out}: holds a run with another {what}{_difference(found, expected)}; "
                    "name another --out, or the same recipe, seed and split to go on with it"
                )
        if stored.training is None:
            raise CheckpointError(f"{self.last}: holds no state to go on from; name another --out")
        self.trainer.restore(stored.training["trainer"])
        self.history.rows = stored.training["history"]
        self.console.print(f"goes on after epoch {self._done} of {self.recipe.run.epochs} in {self.out}")

    def train(self, show: Callable[..., EpochProgress] = EpochProgress) -> None:
        """Train the epochs that are left. An interruption loses at most the epoch under way."""
        self.out.mkdir(parents=True, exist_ok=True)
        save_split(self.split, self.out / "split.json")
        if self._done == self.recipe.run.epochs:
            return
        train, val = self._load("train"), self._load("val")
        check_positives(val.labels, self.dataset.classes, self.recipe.thresholds)
        crops = Crops(train, self.recipe) if self.recipe.crops.images else None
        train_set, val_set = (DeviceSet(images, self.compute.device) for images in (train, val))
        with show(self.recipe.run.epochs, self._done, len(train), self.console) as progress:
            for epoch in range(self._done, self.recipe.run.epochs):
                progress.start(epoch)
                loss = self.trainer.train_epoch(train_set, epoch, progress.step)
                progress.end(self._validate(epoch, loss, val, val_set))

    def test(self) -> Metrics:
        """Measure the best checkpoint on the test part, print the table, write `metrics.json`."""
        best = load_checkpoint(self.best)
        images = self._load("test")
        trainer = Trainer(build_network(best), self.recipe, len(self.dataset.classes), self.compute)
        outputs = trainer.validate(DeviceSet(images, self.compute.device), best.meta.epoch - 1).outputs
        metrics = evaluate(outputs, images, best.meta.thresholds, self.dataset.classes)
        measured = best.meta.metrics | {"test": metrics.model_dump(mode="json")}
        meta = best.meta.model_copy(update={"metrics": measured})
        save_checkpoint(Checkpoint(meta, best.weights), self.best)
        (self.out / "metrics.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        self.console.print(metrics_table(metrics, f"test part, epoch {best.meta.epoch} (best {self.recipe.run.best})"))
        return metrics

    @property
    def _done(self) -> int:
        return len(self.history.rows)

    def _load(self, side: Side) -> ImageSet:
        samples: Sequence[Sample] = self.samples[side]
        return load_images(samples, self.recipe.input, len(self.dataset.classes))

    def _validate(self, epoch: int, loss: float, images: ImageSet, on_device: DeviceSet) -> str:
        """Validate, store, and say in one line how the epoch went."""
        result = self.trainer.validate(on_device, epoch)
        thresholds = choose_thresholds(result.outputs, images, self.dataset.classes, self.recipe.thresholds)
        metrics = evaluate(result.outputs, images, thresholds, self.dataset.classes)
        name = self.recipe.run.best
        better = metrics.named(name) >= self.history.best(name)
        measures = {key: metrics.named(key) for key in _FOLLOWED | {name}}
        self.history.rows.append({"loss": loss, "val_losses": list(result.losses), "measures": measures})
        meta = self._meta(epoch, thresholds, metrics)
        if better:
            save_checkpoint(Checkpoint(meta, self.trainer.kept.state_dict()), self.best)
        training = {"trainer": self.trainer.state(), "history": self.history.rows}
        save_checkpoint(Checkpoint(meta, self.trainer.kept.state_dict(), training), self.last)
        return (
            f"loss {loss:.4f}, validation: {name} {percent(metrics.named(name))}{' (best)' if better else ''}, "
            f"AP of defect or not {percent(metrics.union.average_precision)}, "
            f"accuracy over pairs {percent(metrics.accuracy_pairs)}"
        )

    def _meta(self, epoch: int, thresholds: dict[str, Threshold], metrics: Metrics) -> Meta:
        return Meta(
            recipe=self.recipe,
            classes=self.dataset.classes,
            split=self.split,
            thresholds=thresholds,
            epoch=epoch + 1,
            metrics={"val": metrics.model_dump(mode="json")},
            data=self.dataset.name,
            citation=self.dataset.citation,
            software=_software(),
        )


_FOLLOWED = {"mean_iou_positives", "mean_iou_pooled", "union.iou_pooled", "union.average_precision", "accuracy_pairs"}
"""Measures kept for every epoch, besides the one that chooses."""


def _software() -> dict[str, str]:
    try:
        own = version("edge-inspect")
    except PackageNotFoundError:
        own = "not installed"
    return {"edge-inspect": own, "python": platform.python_version(), "torch": torch.__version__}


def _difference(found: object, expected: object) -> str:
    """The first value in which two recipes differ, in brackets; nothing for other things."""
    if not isinstance(found, Recipe) or not isinstance(expected, Recipe):
        return ""
    there, here = _flat(found.model_dump()), _flat(expected.model_dump())
    key = next(key for key in here if there.get(key) != here[key])
    return f" ({key}: {there.get(key)!r} there, {here[key]!r} here)"


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
