"""Context Aggregation Network (CAN) of the paper: dilated convolutions at one pooled size with skip connections."""

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

Skip = Literal["concat", "add"]

DILATIONS = (1, 2, 4, 8, 16, 32, 64, 32, 16, 8, 4, 2, 1)
"""One per layer, in the order of the paper."""

SKIPS = {9: 6, 10: 5, 11: 4, 12: 3, 13: 2}
"""Layer -> earlier layer whose output joins its input, counted from 1; the layer before has the same dilation."""


class ContextAggregation(nn.Module):
    """Average pooling, thirteen dilated 3x3 layers, then a 1x1 convolution to one mask channel per class.

    With skip "concat" layer 9 reads cat(L6, L8) of twice the width, and so on (`SKIPS`); with "add" it reads L6 + L8.
    With `separable` each 3x3 layer, but a first one on pictures, is depthwise, then 1x1 (Chollet: Xception, CVPR 2017),
    a seventh of the multiplications at width 32.
    The initial bias of the head gives every pixel the probability `prior`.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: int = 64,
        pooling: int = 2,
        skip: Skip = "concat",
        prior: float = 0.5,
        separable: bool = False,
    ):
        super().__init__()
        self.skip = skip
        self.pool = nn.AvgPool2d(pooling) if pooling > 1 else nn.Identity()
        layers = []
        for number, dilation in enumerate(DILATIONS, start=1):
            read = in_channels if number == 1 else width * (2 if skip == "concat" and number in SKIPS else 1)
            layers.append(_layer(read, width, dilation, separable and read >= width))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        nn.init.constant_(cast(Tensor, self.head.bias), math.log(prior / (1 - prior)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes, h, w] at the pooled size of normalised images [B, channels, H, W]."""
        x = self.pool(x)  # [B, channels, h, w]
        outputs = [x]
        for number, layer in enumerate(self.layers, start=1):
            outputs.append(layer(self._joined(outputs, number)))
        logits: Tensor = self.head(outputs[-1])  # [B, classes, h, w]
        return logits

    def _joined(self, outputs: Sequence[Tensor], number: int) -> Tensor:
        if number not in SKIPS:
            return outputs[-1]
        earlier = outputs[SKIPS[number]]
        return torch.cat((earlier, outputs[-1]), dim=1) if self.skip == "concat" else earlier + outputs[-1]


def _layer(read: int, width: int, dilation: int, separable: bool) -> nn.Sequential:
    if not separable:
        return nn.Sequential(
            nn.Conv2d(read, width, kernel_size=3, padding=dilation, dilation=dilation),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
        )
    return nn.Sequential(
        nn.Conv2d(read, read, kernel_size=3, padding=dilation, dilation=dilation, groups=read, bias=False),
        nn.BatchNorm2d(read),
        nn.Conv2d(read, width, kernel_size=1),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(0.2),
    )
