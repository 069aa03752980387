"""Ensemble: several trained networks of the same classes as one network, with a memory of good parts beside them."""

from collections.abc import Sequence

from torch import Tensor, nn

from train.models.network import resized

MOST_LOGIT = 9.0
"""A member's logits are bounded by this, a probability of 1/8000: beyond it no member overrules the others."""
MEMORY_SHARE = 0.25
"""Weight of a memory's logits, found on validation parts of Magnetic Tile; see train/LOG.md."""


class Ensemble(nn.Module):
    """Mean of the members' mask logits, the logarithmic opinion pool (Genest and Zidek, Statistical Science 1986).

    networks: each with its own normalisation; the masks have the grid of the first. sizes: height and width of the
    input of each; frames are resized to it, bilinear, and so are the masks of the others. memories: which of the
    networks are memories of good parts, of one channel. They know no class and outline coarsely, so what each adds to
    the logits of a whole picture is its largest one, the opinion whether the picture is good.
    """

    def __init__(self, networks: Sequence[nn.Module], sizes: Sequence[tuple[int, int]], memories: Sequence[bool] = ()):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.sizes = tuple(sizes)
        self.memories = tuple(memories) or (False,) * len(networks)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, C, h, w] of frames [B, 1 or 3, H, W], float with values 0 to 255."""
        named: list[Tensor] = []
        opinions: list[Tensor] = []
        for network, size, is_memory in zip(self.networks, self.sizes, self.memories, strict=True):
            logits = network(resized(frames, size)).clamp(-MOST_LOGIT, MOST_LOGIT)
            if is_memory:
                opinions.append(MEMORY_SHARE * logits.amax(dim=(1, 2, 3), keepdim=True))
            else:
                named.append(logits)
        grid = (named[0].shape[2], named[0].shape[3])
        mean: Tensor = sum((resized(one, grid) for one in named[1:]), start=named[0]) / len(named)
        return sum(opinions, start=mean)
