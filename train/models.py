"""The network that a recipe names, with its normalisation in front."""

from train.network import ContextAggregation, Inspector
from train.recipe import NetworkRecipe


def make_network(recipe: NetworkRecipe, in_channels: int, classes: int) -> Inspector:
    """A fresh network with `classes` mask channels for frames of `in_channels`."""
    body = ContextAggregation(in_channels, classes, recipe.width, recipe.pooling, recipe.skip, recipe.prior)
    return Inspector(body, recipe.mean, recipe.deviation)
