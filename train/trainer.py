"""The network in training: one epoch, one validation, a state that can be put away and taken up again."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from train.data import Batch, DeviceSet, augment, targets
from train.device import Compute
from train.losses import Loss
from train.network import Inspector, class_logits
from train.outputs import Outputs
from train.recipe import OptimiserRecipe, Recipe


@dataclass(frozen=True)
class Validation:
    """What one pass over the validation part gave."""

    outputs: Outputs
    losses: tuple[float, ...]
    """The scheduled loss of each class."""


class Trainer:
    """A network, its optimiser and its averages under one recipe.

    Every random draw of an epoch follows from the seed and the epoch's number alone, so a run that goes on from the
    end of any epoch gives the very weights of one that was never interrupted.
    """

    def __init__(self, network: Inspector, recipe: Recipe, classes: int, compute: Compute):
        self.recipe = recipe
        self.compute = compute
        self.network = network.to(compute.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = Loss(recipe.loss, classes, compute.device)
        self.optimiser = _optimiser(self.network, recipe.optimiser)
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.dtype == torch.float16)
        self.average = _average(self.network, recipe.run.average)

    @property
    def kept(self) -> Inspector:
        """The network that is validated and stored: the average where there is one."""
        return cast(Inspector, self.average.module) if self.average is not None else self.network

    def train_epoch(self, data: DeviceSet, epoch: int, on_step: Callable[[int, float], None]) -> float:
        """Train epoch `epoch`, counted from 0; returns the mean loss. `on_step` gets images and mean loss so far."""
        generator = epoch_generator(self.recipe.seed, epoch)
        self.network.train()
        batches = data.shuffled(self.recipe.run.batch, generator)
        total = 0.0
        for number, index in enumerate(batches):
            self._set_learning_rate(epoch + number / len(batches))
            batch = augment(data.batch(index), self.recipe.augment, generator)
            total += self._step(batch, epoch)
            on_step(len(index), total / (number + 1))
        return total / len(batches)

    @torch.inference_mode()
    def validate(self, data: DeviceSet, epoch: int) -> Validation:
        """Outputs and losses on `data` with the weights that are kept."""
        network = self.kept.eval()
        scores, masks, losses = [], [], []
        for batch in data.in_order(self.recipe.run.batch):
            with self.compute.autocast():
                logits = network(batch.frames)
            logits = logits.float()
            terms = self.loss.terms(logits, targets(batch, _size(logits)))
            losses.append(self.loss.per_class(terms, epoch, self.recipe.run.epochs) * len(logits))
            scores.append(torch.sigmoid(class_logits(logits)).cpu())
            masks.append(as_levels(logits).cpu())
        outputs = Outputs(torch.cat(scores).numpy(), torch.cat(masks).numpy())
        return Validation(outputs, tuple((torch.stack(losses).sum(dim=0) / len(data)).tolist()))

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on, besides the recipe and the data."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state again."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _step(self, batch: Batch, epoch: int) -> float:
        with self.compute.autocast():
            logits = self.network(batch.frames)
        logits = logits.float()
        terms = self.loss.terms(logits, targets(batch, _size(logits)))
        loss = self.loss.total(terms, epoch, self.recipe.run.epochs)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.recipe.optimiser.clip_norm:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optimiser.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return loss.item()

    def _set_learning_rate(self, epoch: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe.optimiser, epoch, self.recipe.run.epochs)


def learning_rate(recipe: OptimiserRecipe, epoch: float, epochs: int) -> float:
    """The learning rate at a point of the run: linear warm-up, then constant or half a cosine down to zero."""
    warm = recipe.warmup_epochs
    if epoch < warm:
        return recipe.learning_rate * (epoch + 0.05) / (warm + 0.05)
    if recipe.curve == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - warm) / (epochs - warm)))


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The generator of one epoch's draws; torch's own generator (dropout) is set along with it."""
    mixed = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]) >> 1
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed)


def as_levels(logits: Tensor) -> Tensor:
    """Masks uint8, Floor(p * 255 + 0.5), as a bundle's graph gives them."""
    return torch.floor(torch.sigmoid(logits) * 255 + 0.5).to(torch.uint8)


def _size(logits: Tensor) -> tuple[int, int]:
    return logits.shape[2], logits.shape[3]


def _optimiser(network: Inspector, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        network.parameters(),
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        weight_decay=recipe.weight_decay,
    )


def _average(network: Inspector, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
