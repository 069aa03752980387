"""Training of a network: epochs, validation, state for resuming."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from train.augment.batch import augment, draw
from train.data.device_set import Batch, DeviceSet
from train.data.prefetch import ahead
from train.device import Compute
from train.errors import RecipeError, TrainError
from train.evaluate.outputs import Outputs
from train.evaluate.predict import predict
from train.loop.distributed import DistributedGroup
from train.loop.lr_schedule import epoch_generator, learning_rate
from train.loop.teacher import Teacher
from train.losses import Loss, LossTerms, targets
from train.models.can_lite import LiteEncoder
from train.models.network import NormalisedNetwork
from train.recipe import OptimiserRecipe, Recipe

_Tensors = tuple[Tensor, ...] | list[Tensor]

_SHOWN_EVERY = 8
"""Steps between two transfers of the loss to the progress bar."""


@dataclass(frozen=True)
class Validation:
    """Result of one validation pass."""

    outputs: Outputs
    losses: tuple[float, ...]
    """The scheduled loss of each class."""


class Trainer:
    """A network with its optimiser and its moving average of the weights.

    The random numbers of an epoch depend only on the seed and the epoch's number, so a run that resumes after any
    epoch gives the same weights as one that was never interrupted. Raises RecipeError for a batch that the processes
    cannot share evenly.
    """

    def __init__(
        self,
        network: NormalisedNetwork,
        recipe: Recipe,
        classes: int,
        compute: Compute,
        group: DistributedGroup | None = None,
    ):
        self.recipe, self.compute, self.group = recipe, compute, group or DistributedGroup()
        self.parts = self.group.size * recipe.run.accumulate
        if recipe.run.batch % self.parts:
            raise RecipeError(
                f"recipe {recipe.name}: run.batch: found {recipe.run.batch}, expected a multiple of {self.parts} "
                f"({self.group.size} processes x run.accumulate {recipe.run.accumulate})"
            )
        if self.group.size > 1 and compute.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network = compute.place(network)
        self._frozen = _frozen(self.network, recipe.optimiser.frozen_stages)
        self.loss = Loss(recipe.loss, classes, compute.device)
        self.optimiser = _optimiser(self.network, recipe.optimiser)
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.dtype == torch.float16)
        self.average = _average(self.network, recipe.run.average)
        self._forward = _wrapped(self.network, recipe, self.group)
        self.learning_rate = recipe.optimiser.learning_rate
        self.teacher: Teacher | None = None
        self.waited_s = 0.0
        """Time that the steps of the last epoch waited for their batches, in seconds."""

    @property
    def kept(self) -> NormalisedNetwork:
        """The network that is validated and stored: the moving average if there is one."""
        return cast(NormalisedNetwork, self.average.module) if self.average is not None else self.network

    def train_epoch(self, data: DeviceSet, epoch: int, on_step: Callable[[int, float], None]) -> float:
        """Train epoch `epoch`, counted from 0; returns the mean loss.

        on_step: called with the number of images of each step and the mean loss so far.
        Raises TrainError for a loss that is not finite, or a batch smaller than the number of its parts.
        """
        generator = epoch_generator(self.recipe.seed, epoch)
        self._train_mode()
        run = self.recipe.run
        order = data.shuffled(run.batch, generator, run.draw, run.epoch_images)
        if order and len(order[0]) < self.parts:
            raise TrainError(
                f"run.accumulate: found a batch of {len(order[0])} images for {self.parts} parts "
                f"({self.group.size} processes x run.accumulate {self.recipe.run.accumulate}), expected at least one "
                "image in each; use more training images, fewer processes, or --set run.accumulate=1"
            )
        batches = (self._parts(data, index, draw(len(index), self.recipe.augment, generator)) for index in order)
        total, shown = torch.zeros((), device=self.compute.device), 0.0
        with closing(ahead(batches) if data.busy else batches) as coming:
            for number, parts in enumerate(self._awaited(coming)):
                self._set_learning_rate(epoch + number / len(order))
                total += self._step(parts, epoch)
                if number % _SHOWN_EVERY == 0:
                    shown = float(total) / (number + 1)  # synchronises with the device
                on_step(len(order[number]), shown)
        mean = self.group.mean(float(total) / len(order))
        _check_finite(mean, "a loss that", epoch)
        return mean

    def validate(self, data: DeviceSet, epoch: int) -> Validation:
        """Outputs and per-class losses on `data`, with the weights of `kept`.

        Raises TrainError for scores that are not finite: the last steps of an epoch show in no loss of it.
        """
        losses: list[Tensor] = []

        def add_losses(batch: Batch, logits: Tensor) -> None:
            losses.append(self.loss.per_class(self._terms(logits, batch), epoch, self.recipe.run.epochs) * len(logits))

        outputs = predict(self.kept, data, self.compute, on_batch=add_losses)
        _check_finite(float(outputs.scores.sum()), "scores of the validation part whose sum", epoch)
        return Validation(outputs, tuple((torch.stack(losses).sum(dim=0) / len(data)).tolist()))

    def state(self) -> dict[str, Any]:
        """State that the next epoch depends on, besides the recipe and the data."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state of `state()`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _parts(self, data: DeviceSet, index: Tensor, drawn: Tensor) -> list[Batch]:
        """This process's shard of the batch `index`, augmented, split for gradient accumulation."""
        share = self.group.shard(torch.arange(len(index)))
        return [
            augment(data.batch(index[rows]), self.recipe.augment, drawn[rows])
            for rows in torch.tensor_split(share, self.recipe.run.accumulate)
        ]

    def _awaited(self, coming: Iterator[list[Batch]]) -> Iterator[list[Batch]]:
        """The same batches; adds up the waiting time in `waited_s`."""
        self.waited_s = 0.0
        while True:
            began = time.monotonic()
            parts = next(coming, None)
            self.waited_s += time.monotonic() - began
            if parts is None:
                return
            yield parts

    def _step(self, parts: list[Batch], epoch: int) -> Tensor:
        """One optimiser step; returns its mean loss."""
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.compute.device)
        for number, batch in enumerate(parts, start=1):
            with nullcontext() if number == len(parts) else self._no_sync():
                with self.compute.autocast():
                    logits = self._forward(batch.frames)
                loss = self._batch_loss(logits.float(), batch, epoch) / self.recipe.run.accumulate
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self._clip()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return total

    def _batch_loss(self, logits: Tensor, batch: Batch, epoch: int) -> Tensor:
        epochs, share = self.recipe.run.epochs, self.recipe.loss.teacher_share
        loss = self.loss.total(self._terms(logits, batch), epoch, epochs)
        if self.teacher is None:
            return loss
        taught = self.teacher.targets(batch.frames, (logits.shape[2], logits.shape[3]))
        return (1 - share) * loss + share * self.loss.total(self.loss.terms(logits, taught), epoch, epochs)

    def _terms(self, logits: Tensor, batch: Batch) -> LossTerms:
        return self.loss.terms(logits, targets(batch, (logits.shape[2], logits.shape[3])))

    def _no_sync(self) -> Any:
        """Skip the gradient all-reduce between micro-batches."""
        return self._forward.no_sync() if isinstance(self._forward, DistributedDataParallel) else nullcontext()

    def _clip(self) -> None:
        if self.recipe.optimiser.clip_norm:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optimiser.clip_norm)

    def _train_mode(self) -> None:
        self.network.train()
        for module in self._frozen:
            module.eval()
        if self.recipe.optimiser.freeze_batchnorm:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _set_learning_rate(self, epoch: float) -> None:
        self.learning_rate = learning_rate(self.recipe.optimiser, epoch, self.recipe.run.epochs)
        for group in self.optimiser.param_groups:
            group["lr"] = group.get("share", 1.0) * self.learning_rate


def _optimiser(network: NormalisedNetwork, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {
            "params": [
                weight
                for name, weight in network.named_parameters()
                if weight.requires_grad and _of_encoder(name) == encoder
            ],
            "share": share,
        }
        for encoder, share in ((False, 1.0), (True, recipe.encoder_rate))
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
    )


def _frozen(network: NormalisedNetwork, stages: int) -> list[nn.Module]:
    """The frozen modules of a network on the Lite encoder, which get no gradient from here on."""
    encoder = getattr(network.body, "encoder", None)
    frozen = encoder.first(stages) if isinstance(encoder, LiteEncoder) else []
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def _of_encoder(name: str) -> bool:
    """Whether a weight of this name belongs to an encoder: ours and the peers' are called so."""
    return "encoder" in name.split(".")


def _average(network: NormalisedNetwork, decay: float) -> AveragedModel | None:
    if not decay:
        return None

    def average(kept: _Tensors, new: _Tensors, averaged: Tensor | int) -> None:
        get_ema_multi_avg_fn(average_decay(decay, int(averaged)))(kept, new, averaged)  # type: ignore[no-untyped-call]

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def average_decay(decay: float, averaged: int) -> float:
    """The decay after `averaged` steps: it grows to the recipe's, so that the first, poor weights are soon forgotten.

    Source: tf.train.ExponentialMovingAverage, `num_updates`.
    """
    return min(decay, (1 + averaged) / (10 + averaged))


def _wrapped(network: NormalisedNetwork, recipe: Recipe, group: DistributedGroup) -> Any:
    """The network as called in training: data-parallel, compiled."""
    called: Any = network
    if group.size > 1:
        called = DistributedDataParallel(network)
    return torch.compile(called) if recipe.run.compile else called


def _check_finite(found: float, what: str, epoch: int) -> None:
    if not math.isfinite(found):
        raise TrainError(
            f"epoch {epoch + 1}: found {what} is {found}, expected a finite number; "
            "lower optimiser.learning_rate or set optimiser.clip_norm, and train in another --out"
        )
