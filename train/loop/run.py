"""A whole training run in one folder: data, epochs, checkpoints, the test at the end."""

import json
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from bundle import Threshold
from train.augment.drawn_defects import check_drawable
from train.data.dataset import Dataset
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet, load_images
from train.data.splits import Side, Split, save_split, sides_of
from train.device import Compute
from train.errors import CheckpointError
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import evaluate, predictions
from train.evaluate.predict import predict_with
from train.evaluate.prediction_files import FILE, named_predictions, save_predictions
from train.evaluate.tables import metrics_table, percent
from train.evaluate.thresholds import check_positives, choose_thresholds
from train.loop.distributed import DistributedGroup
from train.loop.history import History
from train.loop.lr_schedule import epoch_generator
from train.loop.progress import EpochProgress
from train.loop.tensorboard_log import Scalars
from train.loop.trainer import Trainer
from train.loop.training_data import TrainingData
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, file_sha256, load_checkpoint, save_checkpoint, software
from train.models.finetune import start_from
from train.recipe import Recipe, first_difference
from train.report.run_report import PartEvaluation, write_report

BEST = "best.pt"
"""The checkpoint of the best epoch, in the folder of a run."""


class Run:
    """One run in one folder: `last.pt` after each epoch, `best.pt` after the best, `metrics.json` at the end."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        split: Split,
        out: Path,
        compute: Compute,
        console: Console,
        group: DistributedGroup | None = None,
    ):
        recipe.check_classes(dataset.classes)
        check_drawable(recipe, dataset.classes)
        self.recipe, self.dataset, self.split, self.out = recipe, dataset, split, out
        self.compute, self.console, self.group = compute, console, group or DistributedGroup()
        self.samples = sides_of(split, dataset)
        epoch_generator(recipe.seed, _START)
        network = make_network(recipe.network, recipe.input.channels, len(dataset.classes))
        self.trainer = Trainer(network, recipe, len(dataset.classes), compute, self.group)
        self.history = History(recipe.run)
        self.init = ""

    @property
    def last(self) -> Path:
        """Where the run goes on from."""
        return self.out / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.out / BEST

    def resume(self) -> None:
        """Take up the run in the folder, if there is one. Raises CheckpointError if it is of something else."""
        if not self.last.exists():
            return
        stored = load_checkpoint(self.last)
        self._check_same(stored.meta)
        if stored.training is None:
            raise CheckpointError(f"{self.last}: holds no state to go on from; name another --out")
        self.trainer.restore(stored.training["trainer"])
        self.history.rows = stored.training["history"]
        self.init = stored.meta.init
        self.console.print(f"goes on after epoch {self.history.done} of {self.recipe.run.epochs} in {self.out}")

    def train(self, show: Callable[..., EpochProgress] = EpochProgress, tensorboard: bool = False) -> None:
        """Train the epochs that are left. An interruption loses at most the epoch under way."""
        self.out.mkdir(parents=True, exist_ok=True)
        if self.group.is_leader:
            save_split(self.split, self.out / "split.json")
        if self.history.finished():
            return
        train, val = self.load("train"), self.load("val")
        check_positives(val.labels, self.dataset.classes, self.recipe.thresholds)
        training = TrainingData(train, self.recipe, self.compute.device, self.dataset.classes)
        val_set = DeviceSet(val, self.compute.device)
        scalars = Scalars(self.out, self.history.done) if tensorboard and self.group.is_leader else None
        with (
            show(self.recipe.run.epochs, self.history.done, self.console) as progress,
            closing(scalars) if scalars is not None else nullcontext(),
        ):
            while not self.history.finished():
                data = training.of(self.history.done, self.history.rows)
                progress.start(self.history.done, len(data))
                began = time.monotonic()
                loss = self.trainer.train_epoch(data, self.history.done, progress.step)
                row = {
                    "loss": loss,
                    "images": len(data),
                    "seconds": time.monotonic() - began,
                    "waited_s": self.trainer.waited_s,
                    "crop_probabilities": training.probabilities,
                }
                progress.end(self._validate(row, val, val_set))
                if scalars is not None:
                    scalars.write(self.history.done - 1, self.history.rows[-1], self.dataset.classes)
        if self.history.done < self.recipe.run.epochs:
            self.console.print(f"stopped early: {self.recipe.run.patience} epochs without a better one")

    def start_from(self, path: Path) -> None:
        """Start from the weights of another checkpoint, unless the folder holds a run that goes on."""
        if self.history.done == 0:
            told = start_from(self.trainer.network, self.dataset.classes, load_checkpoint(path))
            self.init = file_sha256(path)
            self.console.print(told)

    def test(self) -> Metrics:
        """Measure the best checkpoint on the test part; print the table, write `metrics.json`, `predictions.json` and
        `report.html`."""
        best = load_checkpoint(self.best)
        findings = self.findings(best, "test")
        measured = best.meta.metrics | {"test": findings.metrics.model_dump(mode="json")}
        meta = best.meta.model_copy(update={"metrics": measured})
        save_checkpoint(Checkpoint(meta, best.weights), self.best)
        save_predictions(findings.judged, self.out / FILE)
        (self.out / "metrics.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        report = self.out / "report.html"
        report.write_text(write_report(meta, self.history.rows, findings), encoding="utf-8")
        title = f"test part, epoch {best.meta.epoch} (best {self.recipe.run.best})"
        self.console.print(metrics_table(findings.metrics, title), f"report: {report}")
        return findings.metrics

    def findings(self, checkpoint: Checkpoint, side: Side) -> PartEvaluation:
        """What a checkpoint says of one side of the split, with its own thresholds."""
        images = self.load(side)
        outputs = predict_with(checkpoint, images, self.compute)
        rows = predictions(outputs, images, checkpoint.meta.thresholds)
        found = named_predictions(self.dataset.classes, self.samples[side], rows)
        return PartEvaluation(images, outputs, found, found.metrics())

    def load(self, side: Side) -> ImageSet:
        """The images of one side of the split."""
        return load_images(self.samples[side], self.recipe.input, len(self.dataset.classes))

    def _validate(self, row: dict[str, Any], images: ImageSet, on_device: DeviceSet) -> str:
        """Validate, store, and say in one line how the epoch went."""
        line = self._validated(row, images, on_device) if self.group.is_leader else ""
        self.history.rows = self.group.broadcast(self.history.rows)
        return line

    def _validated(self, row: dict[str, Any], images: ImageSet, on_device: DeviceSet) -> str:
        epoch, name = self.history.done, self.recipe.run.best
        result = self.trainer.validate(on_device, epoch)
        thresholds = choose_thresholds(result.outputs, images, self.dataset.classes, self.recipe.thresholds)
        metrics = evaluate(result.outputs, images, thresholds, self.dataset.classes)
        better = metrics.named(name) >= self.history.best()
        measures = {key: metrics.named(key) for key in _FOLLOWED | {name}}
        self.history.rows.append(row | {"val_losses": list(result.losses), "measures": measures})
        self._save(self._meta(thresholds, metrics), better)
        return (
            f"loss {row['loss']:.4f}, validation: {name} {percent(metrics.named(name))}{' (best)' if better else ''}, "
            f"AP of defect or not {percent(metrics.union.average_precision)}, "
            f"accuracy over pairs {percent(metrics.accuracy_pairs)}"
        )

    def _save(self, meta: Meta, better: bool) -> None:
        weights = self.trainer.kept.state_dict()
        if better:
            save_checkpoint(Checkpoint(meta, weights), self.best)
        training = {"trainer": self.trainer.state(), "history": self.history.rows}
        save_checkpoint(Checkpoint(meta, weights, training), self.last)

    def _meta(self, thresholds: dict[str, Threshold], metrics: Metrics) -> Meta:
        return Meta(
            recipe=self.recipe,
            classes=self.dataset.classes,
            split=self.split,
            thresholds=thresholds,
            epoch=self.history.done,
            metrics={"val": metrics.model_dump(mode="json")},
            data=self.dataset.name,
            citation=self.dataset.citation,
            software=software(),
            init=self.init,
        )

    def _check_same(self, stored: Meta) -> None:
        for what, found, expected, difference in (
            ("recipe", stored.recipe, self.recipe, first_difference(stored.recipe, self.recipe)),
            ("split", stored.split, self.split, ""),
            ("classes", stored.classes, self.dataset.classes, ""),
        ):
            if found != expected:
                raise CheckpointError(
                    f"{self.out}: holds a run with another {what}{difference}; "
                    "name another --out, or the same recipe, seed and split to go on with it"
                )


_FOLLOWED = {"mean_iou_positives", "mean_iou_pooled", "union.iou_pooled", "union.average_precision", "accuracy_pairs"}
"""Measures kept for every epoch, besides the one that chooses."""

_START = 2**32 - 1
"""Stands for an epoch in the random stream of the first weights."""
