"""Learning-rate schedule, and the random generator of an epoch."""

import math

import numpy as np
import torch

from train.recipe import OptimiserRecipe


def learning_rate(recipe: OptimiserRecipe, epoch: float, epochs: int) -> float:
    """Learning rate at fractional epoch `epoch`: linear warm-up, then constant or cosine decay to zero."""
    warm = recipe.warmup_epochs
    if epoch < warm:
        return (
            recipe.learning_rate * (epoch + 0.05) / (warm + 0.05)
        )  # starts at a twentieth of an epoch instead of zero
    if recipe.curve == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - warm) / (epochs - warm)))


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Random generator of one epoch; also seeds torch's global generator (dropout)."""
    mixed = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]) >> 1
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed)
