"""Training run in a folder: data, epochs, checkpoints, final test."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from train.augment.drawn_defects import check_drawable
from train.data.dataset import Dataset, Sample
from train.data.device_set import DeviceSet, evaluation_set
from train.data.image_set import ImageSet
from train.data.splits import Split, save_split
from train.device import Compute
from train.errors import CheckpointError, DataError, RecipeError, SplitError
from train.evaluate.metrics import check_best
from train.evaluate.outputs import evaluate, judged_together
from train.evaluate.tables import percent
from train.evaluate.thresholds import check_positives, choose_thresholds
from train.loop.distributed import DistributedGroup
from train.loop.history import OF_CLASSES, SECOND, EpochHistory
from train.loop.lr_schedule import epoch_generator
from train.loop.progress import EpochProgress
from train.loop.run_folder import LAST, RunFolder, learnt_pictures, warn
from train.loop.teacher import Teacher
from train.loop.tensorboard_log import TensorboardLog
from train.loop.trainer import Trainer
from train.loop.training_data import TrainingData
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, file_sha256, load_checkpoint, save_checkpoint
from train.models.finetune import start_from
from train.recipe import Recipe


class Run(RunFolder):
    """One run in one folder: `last.pt` after each epoch, `best.pt` after the best, `metrics.json` at the end.

    Raises SplitError if a part of the split has no image, RecipeError if the recipe does not fit the classes.
    """

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
        if recipe.network.members:
            raise RecipeError(
                f"recipe {recipe.name}: found an ensemble, expected one network; train each of its members, then join "
                "them: train ensemble A/best.pt B/best.pt"
            )
        recipe.check_classes(dataset.classes)
        check_best(recipe.run.best, f"recipe {recipe.name}")
        check_drawable(recipe, dataset.classes)
        super().__init__(recipe, dataset, split, out, compute, console)
        self.group = group or DistributedGroup()
        _check_defects(self.samples["train"], dataset.name)
        labels = np.array([sample.labels for sample in self.samples["val"]], dtype=np.bool_)
        check_positives(labels, dataset.classes, recipe.thresholds)
        epoch_generator(recipe.seed, _START)
        network = make_network(recipe.network, recipe.input.channels, len(dataset.classes))
        self.trainer = Trainer(network, recipe, len(dataset.classes), compute, self.group)
        self.history = EpochHistory(recipe.run)
        self.log: TensorboardLog | None = None

    @property
    def last(self) -> Path:
        """Checkpoint from which the run resumes."""
        return self.out / LAST

    @property
    def rows(self) -> Sequence[dict[str, Any]]:
        """Rows of the history."""
        return self.history.rows

    def resume(self) -> None:
        """Resume the run in the folder, if there is one; the recipe may have more epochs than before.

        Raises CheckpointError if the folder holds another run.
        """
        if not self.last.exists():
            if self.best.exists():  # of another kind of run, or of this one, interrupted in its first epoch
                stored = load_checkpoint(self.best)
                self._check_same(stored.meta, _with_epochs(stored.meta.recipe, self.recipe.run.epochs))
            return
        stored = load_checkpoint(self.last)
        before, epochs = stored.meta.recipe.run.epochs, self.recipe.run.epochs
        self._check_same(stored.meta, _with_epochs(stored.meta.recipe, max(before, epochs)))
        if stored.training is None:
            raise CheckpointError(f"{self.last}: found no optimiser state, which resuming needs; name another --out")
        try:
            self.trainer.restore(stored.training["trainer"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise CheckpointError(
                f"{self.last}: found a state of training that does not fit its recipe ({type(error).__name__}), "
                "expected the optimiser and network of this run; name another --out"
            ) from None
        self.history.rows = stored.training["history"]
        self.init, self.teacher, self.seen = stored.meta.init, stored.meta.teacher, frozenset(stored.meta.seen)
        self.console.print(f"resumes after epoch {self.history.done} of {epochs} in {self.out}")
        if epochs > before:
            self.console.print(f"extended from {before} epochs: learning rate and loss schedule follow the new length")

    def train(self, show: Callable[..., EpochProgress] = EpochProgress, tensorboard: bool = False) -> None:
        """Train the remaining epochs. An interruption loses at most the current epoch."""
        self.out.mkdir(parents=True, exist_ok=True)
        if self.group.is_leader:
            save_split(self.split, self.out / "split.json")
        if self.history.finished():
            return
        train, val = self.load("train"), self.load("val")
        self.learnt = learnt_pictures(train)
        if self.recipe.input.tiles is not None:
            _check_outlined(train, self.samples["train"], self.dataset.classes)
            _check_outlined(val, self.samples["val"], self.dataset.classes)
        training = TrainingData(train, self.recipe, self.compute.device, self.dataset.classes)
        val_set = evaluation_set(val, self.compute.device, self.recipe.tile_grid)
        if tensorboard and self.group.is_leader:
            self.log = TensorboardLog(self.out, self.history.done, self.dataset.classes, val)
        with (
            show(self.recipe.run.epochs, self.history.done, self.console) as progress,
            closing(self.log) if self.log is not None else nullcontext(),
        ):
            while not self.history.finished():
                row = self._trained(training, progress)
                progress.end(self._validate(row, val, val_set))
        if self.history.done < self.recipe.run.epochs:
            self.console.print(f"stopped early: {self.recipe.run.patience} epochs without a better one")

    def start_from(self, path: Path) -> None:
        """Start from the weights of another checkpoint; has no effect on a resumed run.

        Raises CheckpointError where an image of the test part has trained that checkpoint, or one before it.
        """
        if self.history.done == 0:
            stored = load_checkpoint(path)
            self._check_unseen(
                stored.meta.trained_on, f"--init {path}", "leave --split out, which extends the split of the checkpoint"
            )
            message = start_from(self.trainer.network, self.dataset.classes, stored)
            self.init, self.seen = file_sha256(path), stored.meta.trained_on
            self.console.print(message)

    def learn_from(self, path: Path | None) -> None:
        """Take the masks of another checkpoint as targets beside the ground truth; None for the ground truth alone.

        Raises CheckpointError for a teacher of other classes or channels, one that an image of the test part has
        trained, or another one than that of the resumed run.
        """
        found = "" if path is None else file_sha256(path)
        if self.history.done and found != self.teacher:
            raise CheckpointError(
                f"{self.out}: holds a run with {'another' if self.teacher else 'no'} teacher, found --teacher "
                f"{path or 'left out'}; name another --out, or resume it with the same teacher"
            )
        if path is None:
            return
        stored = load_checkpoint(path)
        for what, other, expected in (
            ("classes", stored.meta.classes, self.dataset.classes),
            ("channels", stored.meta.input.channels, self.recipe.input.channels),
        ):
            if other != expected:
                raise CheckpointError(
                    f"--teacher {path}: found the {what} {other}, expected those of the run, {expected}"
                )
        self._check_unseen(
            stored.meta.trained_on, f"--teacher {path}", "name the split that it was trained on, split.json of its run"
        )
        warn(self.console, stored.meta.unfinished(path))
        self.teacher, self.seen = found, self.seen | stored.meta.trained_on
        self.trainer.teacher = Teacher(stored, self.compute)

    def _trained(self, training: TrainingData, progress: EpochProgress) -> dict[str, Any]:
        """Train one epoch; its row of the history, without the validation."""
        epoch = self.history.done
        data = training.of(epoch, self.history.rows)
        progress.start(epoch, len(data))
        began = time.monotonic()
        loss = self.trainer.train_epoch(data, epoch, progress.step)
        return {
            "loss": loss,
            "images": len(data),
            "seconds": time.monotonic() - began,
            "waited_s": self.trainer.waited_s,
            "learning_rate": self.trainer.learning_rate,
            "crop_probabilities": training.probabilities,
        }

    def _validate(self, row: dict[str, Any], images: ImageSet, on_device: DeviceSet) -> str:
        """Validate in the leading process, share the history; returns the epoch's line for the terminal."""
        line = self._validated(row, images, on_device) if self.group.is_leader else ""
        self.history.rows = self.group.broadcast(self.history.rows)
        return line

    def _validated(self, row: dict[str, Any], images: ImageSet, on_device: DeviceSet) -> str:
        epoch, name = self.history.done, self.recipe.run.best
        result = self.trainer.validate(on_device, epoch)
        outputs = judged_together(result.outputs, images, self.recipe.thresholds.exposures)
        thresholds = choose_thresholds(outputs, images, self.dataset.classes, self.recipe.thresholds)
        metrics = evaluate(outputs, images, thresholds, self.dataset.classes)
        better = self.history.is_better(metrics.named(name), metrics.named(SECOND))
        measures = {key: metrics.named(key) for key in _FOLLOWED | {name, SECOND}}
        of_classes = [{key: getattr(one, key) for key in OF_CLASSES} for one in metrics.classes]
        validated = {"val_losses": list(result.losses), "measures": measures, "classes": of_classes}
        self.history.rows.append(row | validated)
        if self.log is not None:
            self.log.write(epoch, self.history.rows[-1], result.outputs, thresholds)
        self._save(self._meta(thresholds, metrics, self.history.done), better)
        chosen = f"{name} {percent(metrics.known(name))}{' (best)' if better else ''}"
        return (
            f"loss {row['loss']:.4f}, validation: {chosen}, "
            f"AP of defect or not {percent(metrics.union.average_precision)}, "
            f"accuracy over pairs {percent(metrics.accuracy_pairs)}"
        )

    def _save(self, meta: Meta, better: bool) -> None:
        weights = self.trainer.kept.state_dict()
        if better:
            save_checkpoint(Checkpoint(meta, weights), self.best)
        training = {"trainer": self.trainer.state(), "history": self.history.rows}
        save_checkpoint(Checkpoint(meta, weights, training), self.last)

    def _check_unseen(self, seen: frozenset[str], option: str, advice: str) -> None:
        test = self.samples["test"]
        known = [sample for sample in test if sample.sha256 in seen]
        if known:
            raise CheckpointError(
                f"{option}: found {len(known)} of {len(test)} images of the test part among those that trained "
                f"it, first {known[0].path}, so that the figures would be too good; {advice}, or a split that has them "
                "in the training part"
            )


def _check_defects(samples: Sequence[Sample], name: str) -> None:
    if all(sample.good for sample in samples):
        raise SplitError(
            f"split: found no image with a defect among the {len(samples)} of the training part of {name}, "
            "expected some of each class: a network that never saw a defect passes every part; add defective parts"
        )


def _check_outlined(images: ImageSet, samples: Sequence[Sample], classes: Sequence[str]) -> None:
    """Raise DataError for a class without an outline: which of the tiles have it is not known."""
    lacking = np.argwhere(~images.outlined)
    if len(lacking):
        index, kind = lacking[0].tolist()
        raise DataError(
            f"{samples[index].path}: found no outline of its {classes[kind]} ({len(lacking)} such), expected one: "
            "a training tile has a class only where it shows it; draw the outline, or train without tiles"
        )


def _with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    return recipe.model_copy(update={"run": recipe.run.model_copy(update={"epochs": epochs})})


_FOLLOWED = {"mean_iou_positives", "mean_iou_pooled", "union.iou_pooled", "union.average_precision", "accuracy_pairs"}
"""Metrics kept for every epoch, besides the one that selects the best."""

_START = 2**32 - 1
"""Epoch number that seeds the initial weights."""
