"""Teacher: a finished network, such as an ensemble, whose masks are targets of another network's training."""

import torch
from torch import Tensor

from train.device import Compute
from train.losses import Targets
from train.models.checkpoint import Checkpoint, build_network
from train.models.network import image_scores, resized


class Teacher:
    """Soft targets from the masks of a checkpoint, at temperature 1 (Hinton et al., Distilling the Knowledge in a
    Neural Network, 2015).

    Frames of another size than its input are resized to it, bilinear.
    """

    def __init__(self, checkpoint: Checkpoint, compute: Compute):
        spec = checkpoint.meta.input
        self._network = compute.place(build_network(checkpoint)).eval().requires_grad_(False)
        self._compute, self._size = compute, (spec.height, spec.width)

    def targets(self, frames: Tensor, size: tuple[int, int]) -> Targets:
        """Its masks and scores of frames [B, 1 or 3, H, W], 0 to 255, at the mask size (h, w)."""
        with torch.no_grad(), self._compute.autocast():
            logits = self._network(resized(frames.float(), self._size))
        masks = torch.sigmoid(resized(logits.float(), size))  # [B, C, h, w]
        scores = image_scores(masks)
        return Targets(scores, torch.ones_like(scores), masks, masks.amax(dim=1))
