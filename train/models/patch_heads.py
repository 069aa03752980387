"""Small heads on the features of a frozen encoder: defective or not, which class, where exactly."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.can_lite import EIGHTH, QUARTER, SIXTEENTH
from train.models.patch_features import Descriptions, PatchFeatures

_DROPOUT = 0.3
_FINDING, _OUTLINING = (1, 2), (1, 2, 4)
"""Dilations of the convolutions by which a patch is judged together with those around it."""
_PRIOR = 0.12
"""Probability of a defect in each pixel of an untrained outline."""


class _Context(nn.Module):
    """Residual dilated convolutions, then one logit.

    Dilated as in the context layers of the document's network, residual as in He et al., CVPR 2016. Drop-out is of
    whole channels of a picture (Tompson et al., CVPR 2015).
    """

    def __init__(self, width: int, dilations: Sequence[int], prior: float = 0.5):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=3, padding=step, dilation=step) for step in dilations
        )
        self.decide = nn.Conv2d(width, 1, kernel_size=1)
        nn.init.constant_(cast(Tensor, self.decide.bias), math.log(prior / (1 - prior)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 1, h, w] of x [B, width, h, w]."""
        for layer in self.layers:
            x = x + functional.relu(layer(functional.dropout2d(x, _DROPOUT / 2, self.training)))
        logits: Tensor = self.decide(functional.dropout2d(x, _DROPOUT, self.training))
        return logits


class FindHead(nn.Module):
    """Defective or not: each patch by its description and those around it, up to 24 pixels away."""

    def __init__(self, described: int, width: int):
        """described: numbers that describe a patch."""
        super().__init__()
        self.gather = nn.Conv2d(described, width, kernel_size=1)
        self.context = _Context(width, _FINDING)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 1, h, w] of normalised descriptions [B, 2F, h, w]."""
        logits: Tensor = self.context(functional.relu(self.gather(functional.dropout2d(x, _DROPOUT, self.training))))
        return logits


class OutlineHead(nn.Module):
    """Where a defect is, to 4 pixels of the picture that the encoder sees.

    Each scale is described and gathered by itself, on its own grid, then enlarged: a sum of three small layers in the
    place of a large one at the finest grid.
    """

    def __init__(self, channels: Mapping[int, int], width: int):
        """channels: see LiteEncoder."""
        super().__init__()
        read = [channels[stage] for stage in (QUARTER, EIGHTH, SIXTEENTH)]
        self.descriptions = nn.ModuleList(Descriptions(count) for count in read)
        self.gather = nn.ModuleList(nn.Conv2d(2 * count, width, kernel_size=1) for count in read)
        self.context = _Context(width, _OUTLINING, _PRIOR)

    def described(self, features: PatchFeatures) -> list[Tensor]:
        """Normalised descriptions of each scale, channels last."""
        pairs = zip(self.descriptions, features, strict=True)
        return [normalise(scale).contiguous(memory_format=torch.channels_last) for normalise, scale in pairs]

    def fit_descriptions(self, sound: Sequence[PatchFeatures]) -> None:
        """Normalise by features of good pictures, at each size."""
        for normalise, *scale in zip(self.descriptions, *sound, strict=True):
            cast(Descriptions, normalise).fit(scale)

    def forward(self, descriptions: Sequence[Tensor]) -> Tensor:
        """Logits [B, 1, H / 4, W / 4] of what `described` gives."""
        gathered = [
            gather(functional.dropout2d(x, _DROPOUT, self.training))
            for gather, x in zip(self.gather, descriptions, strict=True)
        ]
        enlarged = [
            functional.interpolate(x, scale_factor=float(2**steps), mode="bilinear", align_corners=False)
            for steps, x in enumerate(gathered[1:], start=1)
        ]
        logits: Tensor = self.context(functional.relu(sum(enlarged, start=gathered[0])))
        return logits


def name_head(described: int, width: int, classes: int) -> nn.Sequential:
    """Which class: a perceptron for each patch alone, with `width` hidden numbers; drop-out in front of both layers."""
    return nn.Sequential(
        nn.Dropout(_DROPOUT),
        nn.Conv2d(described, width, kernel_size=1),
        nn.ReLU(),
        nn.Dropout(_DROPOUT),
        nn.Conv2d(width, classes, kernel_size=1),
    )
