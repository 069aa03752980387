"""Network of good parts alone: distance of each patch's features to a memory of good ones.

Roth et al.: Towards total recall in industrial anomaly detection (PatchCore, CVPR 2022): features of a pretrained
encoder at two scales, averaged over 3x3 neighbours (section 3.1); a memory thinned by greedy k-centre (section 3.2);
the distance to the nearest entry (section 3.3, without the reweighting of equation 7).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.can_lite import EIGHTH, SIXTEENTH, LiteEncoder

STRIDE_PX = 8
"""Input pixels along each side of a patch."""
_FARTHEST = 8.0
"""Features in deviations of the good ones are limited to this, so that float16 holds their squares."""
_USUAL_SCORE = 0.1
"""Score of the median held-out good part, which gives the logistic its slope."""


class PatchMemory(nn.Module):
    """Encoder, normalisation of its features, memory of good patches; logits of one class, `Anomaly`.

    Distances are Euclidean over F features, each in deviations of the good ones, divided by the root of
    their number. The memory is a 1x1 convolution: |x - b|^2 = |x|^2 - 2xb + |b|^2 is a matrix product over its entries.
    """

    shift: Tensor
    scale: Tensor
    memory: Tensor
    lengths: Tensor
    middle: Tensor
    slope: Tensor

    def __init__(self, encoder: LiteEncoder, patches: int):
        super().__init__()
        self.encoder = encoder
        features = encoder.channels[EIGHTH] + encoder.channels[SIXTEENTH]
        self.register_buffer("shift", torch.zeros(1, features, 1, 1))
        self.register_buffer("scale", torch.ones(1, features, 1, 1))
        self.register_buffer("memory", torch.zeros(patches, features, 1, 1))  # -2 b
        self.register_buffer("lengths", torch.zeros(patches))  # |b|^2
        self.register_buffer("middle", torch.ones(()))
        self.register_buffer("slope", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 1, H / 4, W / 4] of normalised images whose sides are multiples of 16."""
        return self.slope * (self.distances(x) - self.middle)

    def distances(self, x: Tensor) -> Tensor:
        """Distance to the nearest entry of the memory, [B, 1, H / 4, W / 4], interpolated from the patches."""
        patches = self.limited(self.features(x))
        cross = functional.conv2d(patches, self.memory, self.lengths)  # [B, entries, H / 8, W / 8]
        squared = cross.amin(dim=1, keepdim=True) + patches.square().sum(dim=1, keepdim=True)
        nearest = squared.clamp(min=0).sqrt()
        return functional.interpolate(nearest, scale_factor=2.0, mode="bilinear", align_corners=False)

    def features(self, x: Tensor) -> Tensor:
        """Features of the patches, [B, F, H / 8, W / 8]."""
        found = self.encoder(x)
        coarse = functional.interpolate(found[SIXTEENTH], scale_factor=2.0, mode="bilinear", align_corners=False)
        return functional.avg_pool2d(torch.cat((found[EIGHTH], coarse), dim=1), kernel_size=3, stride=1, padding=1)

    def limited(self, features: Tensor) -> Tensor:
        """Features [B, F, h, w] in deviations of the good ones, limited, over the root of their number."""
        deviations: Tensor = ((features - self.shift) * self.scale).clamp(-_FARTHEST, _FARTHEST)
        return deviations * math.sqrt(1 / features.shape[1])

    def remember(self, good: Tensor, generator: torch.Generator) -> None:
        """Fill the memory from features of good patches, [N, F].

        Fewer patches than entries are repeated.
        """
        self.shift = good.mean(dim=0).view(1, -1, 1, 1)
        self.scale = 1 / good.std(dim=0).clamp(min=1e-6).view(1, -1, 1, 1)
        patches = self.limited(good[:, :, None, None])[:, :, 0, 0]
        chosen = patches[farthest_first(patches, len(self.memory), generator)]
        self.memory = -2 * chosen[:, :, None, None]
        self.lengths = chosen.square().sum(dim=1)

    def calibrate(self, good: Tensor, share: float) -> None:
        """Set the logistic by the largest distances of held-out good parts, [N].

        The score 0.5 is reached by at most `share` of them; their median has the score `_USUAL_SCORE`.
        """
        ranked = good.sort(descending=True).values
        place = min(int(share * len(ranked) + 1e-9), len(ranked) - 1)
        self.middle = torch.nextafter(ranked[place], torch.tensor(math.inf))
        gap = float(self.middle - good.median())
        self.slope = torch.tensor(math.log(1 / _USUAL_SCORE - 1) / max(gap, 0.05 * float(self.middle), 1e-6))


def farthest_first(patches: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices of `count` patches of [N, D] by greedy k-centre: each next one is the farthest from all before.

    Gonzalez: Clustering to minimize the maximum intercluster distance (1985). Repeats where there are fewer patches.
    """
    lengths = patches.square().sum(dim=1)
    chosen = [int(torch.randint(len(patches), (), generator=generator))]
    nearest = torch.full_like(lengths, math.inf)
    while len(chosen) < count:
        last = chosen[-1]
        nearest = torch.minimum(nearest, lengths + lengths[last] - 2 * (patches @ patches[last]))
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)
