"""Features of a frozen encoder at three scales, and what describes a patch by them.

Each value stands beside its difference from the rest of its own picture (instance normalisation, Ulyanov et al.,
arXiv 1607.08022): on a part of another surface or brightness a defect still differs from its surroundings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.can_lite import EIGHTH, QUARTER, SIXTEENTH, LiteEncoder

_LEAST_DEVIATION = 0.05
"""Added to a feature's deviation within a picture, so that the noise of a uniform picture is not amplified."""
_FARTHEST = 8.0
"""Relative features are limited to this many deviations."""


class PatchFeatures(NamedTuple):
    """Features [B, channels, h, w] of images of H x W pixels, by the encoder's last stage at each scale."""

    quarter: Tensor
    """h = H / 4"""
    eighth: Tensor
    sixteenth: Tensor

    @classmethod
    def of(cls, encoder: LiteEncoder, x: Tensor) -> "PatchFeatures":
        """Of normalised images [B, channels, H, W] whose sides are multiples of 16."""
        found = encoder(x)
        return cls(found[QUARTER], found[EIGHTH], found[SIXTEENTH])

    def to(self, device: torch.device) -> "PatchFeatures":
        """The same on the device."""
        return PatchFeatures(*(scale.to(device) for scale in self))

    def patches(self) -> Tensor:
        """All of them on the grid of an eighth, [B, F, H / 8, W / 8] (hypercolumns, Hariharan et al., CVPR 2015)."""
        return torch.cat(
            (
                functional.avg_pool2d(self.quarter, kernel_size=2),
                functional.max_pool2d(self.quarter, kernel_size=2),
                self.eighth,
                functional.interpolate(self.sixteenth, scale_factor=2.0, mode="bilinear", align_corners=False),
            ),
            dim=1,
        )


def described(features: Tensor) -> Tensor:
    """Features [B, F, h, w] followed by the same relative to their picture, [B, 2F, h, w]."""
    difference = features - features.mean(dim=(2, 3), keepdim=True)
    deviation = difference.abs().mean(dim=(2, 3), keepdim=True) + _LEAST_DEVIATION
    return torch.cat((features, (difference / deviation).clamp(-_FARTHEST, _FARTHEST)), dim=1)


class Descriptions(nn.Module):
    """Descriptions of features in deviations of those of good pictures, which `fit` takes."""

    shift: Tensor
    scale: Tensor

    def __init__(self, features: int):
        """features: their number, F."""
        super().__init__()
        self.register_buffer("shift", torch.zeros(1, 2 * features, 1, 1))
        self.register_buffer("scale", torch.ones(1, 2 * features, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Normalised descriptions [B, 2F, h, w] of features [B, F, h, w]."""
        return (described(features) - self.shift) * self.scale

    def fit(self, sound: Sequence[Tensor]) -> None:
        """Take mean and deviation from features of good pictures, [N, F, h, w] of each size."""
        values = torch.cat([described(one).transpose(0, 1).flatten(1) for one in sound], dim=1)  # [2F, patches]
        self.shift = values.mean(dim=1)[None, :, None, None]
        self.scale = 1 / (values.std(dim=1)[None, :, None, None] + 1e-3)
