"""The network that a recipe names, with its normalisation in front."""

from train.network import ContextAggregation, Inspector
from train.peers import make_peer
from train.recipe import NetworkRecipe


def make_network(recipe: NetworkRecipe, in_channels: int, classes: int) -> Inspector:
    """A fresh network with `classes` mask channels for frames of `in_channels`."""
    if recipe.model != "can":
        body = make_peer(recipe.model, in_channels, classes, recipe.pretrained)
        return Inspector(body, recipe.mean, recipe.deviation)
    can = ContextAggregation(in_channels, classes, recipe.width, recipe.pooling, recipe.skip, recipe.prior)
    return Inspector(can, recipe.mean, recipe.deviation)
