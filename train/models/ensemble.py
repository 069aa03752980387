"""Ensemble: several trained networks of the same classes as one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from train.models.network import resized

MOST_LOGIT = 9.0
"""A member's logits are bounded by this, a probability of 1/8000: beyond it no member overrules the others."""


class Ensemble(nn.Module):
    """Mean of the members' mask logits, the logarithmic opinion pool (Genest and Zidek, Statistical Science 1986).

    networks: each with its own normalisation; the masks have the grid of the first. sizes: height and width of the
    input of each; frames are resized to it, bilinear, and so are the masks of the others. opinions: None, or the weight
    of a network that outlines coarsely, such as a memory of good parts: its largest logit, the opinion whether the
    picture is good, is added with this weight to the logits of the whole picture. decides: the first member alone says
    whether the picture shows a class, and how surely; the mean gives the outline.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        sizes: Sequence[tuple[int, int]],
        opinions: Sequence[float | None] = (),
        decides: bool = False,
    ):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.sizes = tuple(sizes)
        self.opinions = tuple(opinions) or (None,) * len(networks)
        self.decides = decides

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, C, h, w] of frames [B, 1 or 3, H, W], float with values 0 to 255."""
        named: list[Tensor] = []
        added: list[Tensor] = []
        for network, size, weight in zip(self.networks, self.sizes, self.opinions, strict=True):
            logits = network(resized(frames, size)).clamp(-MOST_LOGIT, MOST_LOGIT)
            if weight is None:
                named.append(logits)
            else:
                added.append(weight * logits.amax(dim=(1, 2, 3), keepdim=True))
        grid = (named[0].shape[2], named[0].shape[3])
        mean: Tensor = sum((resized(one, grid) for one in named[1:]), start=named[0]) / len(named)
        if self.decides:
            mean = _with_largest(mean, named[0].amax(dim=(2, 3), keepdim=True))
        return sum(added, start=mean)


def _with_largest(logits: Tensor, largest: Tensor) -> Tensor:
    """Logits [B, C, h, w] whose largest of each image and class is `largest`, [B, C, 1, 1].

    Those above 0 are scaled and keep their border, a probability of a half; where nothing is above 1, all are raised
    until something is. For a negative `largest` all lie below it.
    """
    raised = logits + (1 - logits.amax(dim=(2, 3), keepdim=True)).clamp(min=0)
    scale = largest.clamp(min=0) / raised.amax(dim=(2, 3), keepdim=True)
    return torch.where(raised > 0, scale * raised, raised) + largest.clamp(max=0)
