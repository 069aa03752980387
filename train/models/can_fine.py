"""Context Aggregation Network with a strided stem and a head at half the input size.

Average pooling by 4 leaves one or two grey levels of contrast of a thin crack. Here, two strided convolutions replace
the pooling, the thirteen dilated layers work at a quarter of the input size, and a skip connection from the first
convolution joins their output at half the input size.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.can import ContextAggregation, Skip


class FineContext(nn.Module):
    """Strided stem, dilated layers, refined head. The head's initial bias gives every pixel the probability `prior`."""

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: int = 32,
        skip: Skip = "concat",
        prior: float = 0.5,
        separable: bool = False,
    ):
        super().__init__()
        half = max(1, width // 2)
        self.edges = _layer(in_channels, half, stride=2)
        self.down = _layer(half, width, stride=2)
        self.context = ContextAggregation(width, half, width, pooling=1, skip=skip, separable=separable)
        self.refine = _layer(2 * half, half)
        self.head = nn.Conv2d(half, classes, kernel_size=1)
        nn.init.constant_(cast(Tensor, self.head.bias), math.log(prior / (1 - prior)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes, H / 2, W / 2] of normalised images whose sides are multiples of 4."""
        edges = self.edges(x)  # [B, width / 2, H / 2, W / 2]
        context = self.context(self.down(edges))  # [B, width / 2, H / 4, W / 4]
        context = functional.interpolate(context, scale_factor=2.0, mode="nearest")
        logits: Tensor = self.head(self.refine(torch.cat((edges, context), dim=1)))
        return logits


def _layer(read: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(read, width, kernel_size=3, stride=stride, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)
    )
