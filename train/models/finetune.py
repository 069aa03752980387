"""Fine-tuning: start from the weights of another checkpoint, with the same, more or other classes."""

from collections.abc import Sequence

from torch import Tensor

from train.errors import CheckpointError
from train.models.checkpoint import Checkpoint
from train.models.network import NormalisedNetwork

_HEADS = ("body.head.", "segmentation_head.")
"""Where in a weight's name the last layer shows, which has one row per class: the CAN's, the peers'."""


def start_from(network: NormalisedNetwork, classes: Sequence[str], checkpoint: Checkpoint) -> str:
    """Copy the checkpoint's weights into `network`, whose mask channels are `classes`; returns what was done.

    The last layer is copied row by row for the classes of the same name; a new class starts fresh. Raises
    CheckpointError if any other weight is of another shape, so that nothing is left out in silence.
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
    fresh = [name for name in classes if name not in there]
    told = f"; fresh: {', '.join(fresh)}" if fresh else ""
    return f"starts from epoch {checkpoint.meta.epoch} of {checkpoint.meta.recipe.name}{told}"


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
