"""What an epoch's number decides: its learning rate and its random draws."""

import math

import numpy as np
import torch

from train.recipe import OptimiserRecipe


def learning_rate(recipe: OptimiserRecipe, epoch: float, epochs: int) -> float:
    """The learning rate at a point of the run: linear warm-up, then constant or half a cosine down to zero."""
    warm = recipe.warmup_epochs
    if epoch < warm:
        return recipe.learning_rate * (epoch + 0.05) / (warm + 0.05)  # from a twentieth of an epoch, not from zero
    if recipe.curve == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - warm) / (epochs - warm)))


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The generator of one epoch's draws; torch's own generator (dropout) is set along with it."""
    mixed = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]) >> 1
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed)
