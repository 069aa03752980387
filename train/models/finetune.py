"""Fine-tuning: initial weights from another checkpoint, with the same or other classes, or of its encoder alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

import train
from train.errors import CheckpointError
from train.models.checkpoint import Checkpoint
from train.models.network import NormalisedNetwork

_HEADS = ("body.head.", "segmentation_head.")
"""Parts of the names of the last layer's weights, which have one row per class: CAN, peers."""


_NORMALISATION = ("mean", "deviation")
"""Buffers of the recipe's input normalisation, not learnt."""

_ENCODER = "body.encoder."
"""Part of the names of an encoder's weights, which the networks on EfficientNet-Lite share."""


SURFACE_BASE = "surface-base"
"""Name of the checkpoint that comes with the package: a CAN that was trained on defects of real surfaces."""


def checkpoint_path(name: str) -> Path:
    """Path of the checkpoint of this name: a file, or `SURFACE_BASE` of the repository or the installed package.

    Raises CheckpointError where the package has none, as one that was installed without its models.
    """
    if name != SURFACE_BASE or Path(name).exists():
        return Path(name)
    places = [root / "models" / f"{SURFACE_BASE}.pt" for root in Path(train.__file__).resolve().parents[:2]]
    for place in places:
        if place.is_file():
            return place
    raise CheckpointError(f"--init {name}: found none of {', '.join(map(str, places))}; name the file of a checkpoint")


def start_from(network: NormalisedNetwork, classes: Sequence[str], checkpoint: Checkpoint) -> str:
    """Copy the checkpoint's weights into `network`, whose mask channels are `classes`; returns a message.

    Rows of the last layer are copied by class name; new classes keep their initial weights. A first layer that read
    grey reads each colour with a third of its weights, one that read colour reads grey with their sum, so that grey
    pictures give the same result. The input's mean and deviation stay those of the recipe. Of a network that knows
    good parts alone the encoder is copied. Raises CheckpointError if any other weight has another shape.
    """
    own = network.state_dict()
    if checkpoint.meta.recipe.good_only:
        return _encoder_from(network, own, checkpoint)
    if own.keys() != checkpoint.weights.keys():
        raise CheckpointError(
            f"--init: found the network {checkpoint.meta.recipe.network.model}, expected the recipe's; "
            "use the same model and network.separable, or leave --init out"
        )
    there = checkpoint.meta.classes
    rows = [(to, there.index(name)) for to, name in enumerate(classes) if name in there]
    learnt = [key for key in own if key not in _NORMALISATION]
    network.load_state_dict(own | {key: _started(key, own[key], checkpoint.weights[key], rows) for key in learnt})
    new = [name for name in classes if name not in there]
    note = f"; new classes: {', '.join(new)}" if new else ""
    return f"starts from epoch {checkpoint.meta.epoch} of {checkpoint.meta.recipe.name}{note}"


def _encoder_from(network: NormalisedNetwork, own: Mapping[str, Tensor], checkpoint: Checkpoint) -> str:
    """Copy the encoder; a network that reads further stages keeps its own for them."""
    given = {key: tensor for key, tensor in checkpoint.weights.items() if key.startswith(_ENCODER)}
    if not given.keys() <= own.keys():
        raise CheckpointError(
            "--init: found a network of good parts alone, expected a recipe whose network has its encoder; "
            "add --set network.model=unet-lite or can-lite, or leave --init out"
        )
    network.load_state_dict({**own, **{key: _started(key, own[key], tensor, ()) for key, tensor in given.items()}})
    return f"starts from the encoder of {checkpoint.meta.recipe.name}; the other layers are new"


def _started(key: str, own: Tensor, given: Tensor, rows: Sequence[tuple[int, int]]) -> Tensor:
    if any(head in key for head in _HEADS) and own.shape[1:] == given.shape[1:]:
        mixed = own.clone()
        for to, source in rows:
            mixed[to] = given[source]
        return mixed
    if own.dim() == 4 and own.shape[:1] + own.shape[2:] == given.shape[:1] + given.shape[2:]:
        colours = own.shape[1], given.shape[1]
        if colours == (3, 1):
            return given.expand_as(own) / 3
        if colours == (1, 3):
            return given.sum(dim=1, keepdim=True)
    if own.shape != given.shape:
        raise CheckpointError(
            f"--init: found {key} of shape {list(given.shape)}, expected {list(own.shape)}; "
            "use the checkpoint's encoder, width and skip, or leave --init out"
        )
    return given
