"""Ensemble: several trained networks of the same classes as one network."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

MOST_LOGIT = 9.0
"""A member's logits are bounded by this, a probability of 1/8000: beyond it no member overrules the others."""


class Ensemble(nn.Module):
    """Mean of the members' mask logits, the logarithmic opinion pool (Genest and Zidek, Statistical Science 1986).

    networks: each with its own normalisation. sizes: height and width of the input of each; frames are resized to it,
    bilinear. The masks have the grid of the first network; those of the others are resized to it.
    """

    def __init__(self, networks: Sequence[nn.Module], sizes: Sequence[tuple[int, int]]):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.sizes = tuple(sizes)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, C, h, w] of frames [B, 1 or 3, H, W], float with values 0 to 255."""
        logits = [
            network(_resized(frames, size)).clamp(-MOST_LOGIT, MOST_LOGIT)
            for network, size in zip(self.networks, self.sizes, strict=True)
        ]
        grid = (logits[0].shape[2], logits[0].shape[3])
        mean: Tensor = sum((_resized(one, grid) for one in logits[1:]), start=logits[0]) / len(logits)
        return mean


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    if (values.shape[2], values.shape[3]) == size:
        return values
    return functional.interpolate(values, size, mode="bilinear", align_corners=False)
