"""Ensemble: several trained networks of the same classes as one, with opinions on whole pictures beside them."""

from collections.abc import Sequence

from torch import Tensor, nn

from train.models.network import resized

MOST_LOGIT = 9.0
"""A member's logits are bounded by this, a probability of 1/8000: beyond it no member overrules the others."""


class Ensemble(nn.Module):
    """Mean of the members' mask logits, the logarithmic opinion pool (Genest and Zidek, Statistical Science 1986).

    networks: each with its own normalisation; the masks have the grid of the first. sizes: height and width of the
    input of each; frames are resized to it, bilinear, and so are the masks of the others. opinions: None, or the weight
    of a network that outlines coarsely, such as a memory of good parts: its largest logit, the opinion whether the
    picture is good, is added with this weight to the logits of the whole picture.
    """

    def __init__(
        self, networks: Sequence[nn.Module], sizes: Sequence[tuple[int, int]], opinions: Sequence[float | None] = ()
    ):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.sizes = tuple(sizes)
        self.opinions = tuple(opinions) or (None,) * len(networks)

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
        return sum(added, start=mean)
