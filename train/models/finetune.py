"""Fine-tuning: initial weights from another checkpoint, with the same or other classes."""

from collections.abc import Sequence

from torch import Tensor

from train.errors import CheckpointError
from train.models.checkpoint import Checkpoint
from train.models.network import NormalisedNetwork

_HEADS = ("body.head.", "segmentation_head.")
"""Parts of the names of the last layer's weights, which have one row per class: CAN, peers."""


def start_from(network: NormalisedNetwork, classes: Sequence[str], checkpoint: Checkpoint) -> str:
    """Copy the checkpoint's weights into `network`, whose mask channels are `classes`; returns a message.

    Rows of the last layer are copied by class name; new classes keep their initial weights. Raises CheckpointError if
    any other weight has another shape.
    """
    own = network.state_dict()
    if own.keys() != checkpoint.weights.keys():
        raise CheckpointError(
            f"--init: found the network {checkpoint.meta.recipe.network.model}, expected the recipe's; "
            "use the same model, or leave --init out"
        )
    there = checkpoint.meta.classes
    rows = [(to, there.index(name)) for to, name in enumerate(classes) if name in there]
    network.load_state_dict({key: _started(key, own[key], checkpoint.weights[key], rows) for key in own})
    new = [name for name in classes if name not in there]
    note = f"; new classes: {', '.join(new)}" if new else ""
    return f"starts from epoch {checkpoint.meta.epoch} of {checkpoint.meta.recipe.name}{note}"


def _started(key: str, own: Tensor, given: Tensor, rows: Sequence[tuple[int, int]]) -> Tensor:
    if any(head in key for head in _HEADS) and own.shape[1:] == given.shape[1:]:
        mixed = own.clone()
        for to, source in rows:
            mixed[to] = given[source]
        return mixed
    if own.shape != given.shape:
        raise CheckpointError(
            f"--init: found {key} of shape {list(given.shape)}, expected {list(own.shape)}; "
            "use the checkpoint's width, skip and input channels, or leave --init out"
        )
    return given
