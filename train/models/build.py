"""Factory: the network of a recipe, with its normalisation in front."""

from torch import nn

from train.models.can import ContextAggregation
from train.models.can_fine import FineContext
from train.models.can_lite import LAST, SIXTEENTH, LiteContext, LiteEncoder, LiteUNet
from train.models.ensemble import Ensemble
from train.models.network import NormalisedNetwork
from train.models.patch_classifier import PatchClassifier
from train.models.patch_memory import PatchMemory
from train.models.pretrained import make_encoder
from train.models.smp import make_peer
from train.network_recipe import NetworkRecipe

OPINION = 0.25
"""Weight of a memory of good parts in an ensemble, found on parts of Magnetic Tile; see train/LOG.md."""


def make_network(recipe: NetworkRecipe, in_channels: int, classes: int) -> NormalisedNetwork:
    """Build an untrained network with `classes` mask channels for frames of `in_channels` channels."""
    body = _body(recipe, in_channels, classes)
    return NormalisedNetwork(body, recipe.mean, recipe.deviation, by_image=recipe.normalise == "image")


def _body(recipe: NetworkRecipe, in_channels: int, classes: int) -> nn.Module:
    if recipe.model == "can":
        layers = recipe.skip, recipe.prior, recipe.separable
        return ContextAggregation(in_channels, classes, recipe.width, recipe.pooling, *layers)
    if recipe.model == "can-fine":
        return FineContext(in_channels, classes, recipe.width, recipe.skip, recipe.prior, recipe.separable)
    if recipe.model == "can-lite":
        encoder, layers = _encoder(recipe, SIXTEENTH, in_channels), (recipe.skip, recipe.prior, recipe.separable)
        return LiteContext(encoder, classes, recipe.width, *layers)
    if recipe.model == "unet-lite":
        return LiteUNet(_encoder(recipe, LAST, in_channels), classes, recipe.width, recipe.prior)
    if recipe.model == "ensemble":
        networks = [make_network(member.network, in_channels, classes) for member in recipe.members]
        sizes = [(member.height, member.width) for member in recipe.members]
        opinions = [OPINION if member.network.is_memory else None for member in recipe.members]
        return Ensemble(networks, sizes, opinions, decides=recipe.is_decided)
    if recipe.model == "patch-memory":
        return PatchMemory(_encoder(recipe, SIXTEENTH, in_channels), recipe.patches)
    if recipe.model == "patch-classifier":
        return PatchClassifier(_encoder(recipe, SIXTEENTH, in_channels), classes, recipe.width, recipe.scales)
    return make_peer(recipe, in_channels, classes)


def _encoder(recipe: NetworkRecipe, last: int, in_channels: int) -> LiteEncoder:
    """The stages up to `last`."""
    return make_encoder(recipe.encoder, last + 1, in_channels, recipe.pretrained, recipe.weights)
