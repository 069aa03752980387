"""The Context Aggregation Network: dilated convolutions at one pooled size, with concatenated skips."""

import math
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

Skip = Literal["concat", "add"]

DILATIONS = (1, 2, 4, 8, 16, 32, 64, 32, 16, 8, 4, 2, 1)
"""One per layer, as the document lists them."""

LEAST_VARIANCE = 4.0
"""In squared grey levels; added to an image's own variance, so that the noise of an even image is not blown up."""

SKIPS = {9: 6, 10: 5, 11: 4, 12: 3, 13: 2}
"""Layer -> the earlier layer of the previous layer's dilation, whose output joins its input (counted from 1)."""


class ContextAggregation(nn.Module):
    """Average pooling, thirteen dilated 3x3 layers, then a 1x1 convolution to one mask channel per class.

    With skip "concat" layer 9 reads cat(L6, L8) of twice the width, and so on (`SKIPS`); with "add" it reads L6 + L8.
    The head starts at the probability `prior` for every pixel.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: int = 64,
        pooling: int = 2,
        skip: Skip = "concat",
        prior: float = 0.5,
    ):
        super().__init__()
        self.skip = skip
        self.pool = nn.AvgPool2d(pooling) if pooling > 1 else nn.Identity()
        layers = []
        for number, dilation in enumerate(DILATIONS, start=1):
            read = in_channels if number == 1 else width * (2 if skip == "concat" and number in SKIPS else 1)
            layers.append(_layer(read, width, dilation))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        nn.init.constant_(cast(Tensor, self.head.bias), math.log(prior / (1 - prior)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the pooled size of normalised images."""
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


class Inspector(nn.Module):
    """A network with its normalisation in front: uint8 frames in, mask logits out.

    The normalisation's mean and deviation, for values 0 to 1, are buffers and travel with the weights. With `by_image`
    each image's own take their place, so that a brighter exposure of a part is the same to the network.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, body: nn.Module, mean: Sequence[float], deviation: Sequence[float], by_image: bool = False):
        super().__init__()
        self.body = body
        self.by_image = by_image
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, C, h, w] of frames uint8 [B, 1 or 3, H, W]; float frames on the same scale will do."""
        x = normalised(frames, self.mean, self.deviation, self.by_image)
        logits: Tensor = self.body(x.contiguous(memory_format=torch.channels_last))
        return logits


def normalised(frames: Tensor, mean: Tensor, deviation: Tensor, by_image: bool) -> Tensor:
    """Frames [B, channels, H, W] of 0 to 255 as a network takes them; by image, `mean` and `deviation` do not count."""
    x = frames.float()
    if not by_image:
        return x * (1 / (255 * deviation)) + (-mean / deviation)
    x = x - x.mean(dim=(1, 2, 3), keepdim=True)
    return x * (x.square().mean(dim=(1, 2, 3), keepdim=True) + LEAST_VARIANCE).rsqrt()


def class_logits(logits: Tensor) -> Tensor:
    """The image's class logits [B, C]: the maximum of each mask channel. There is no separate head."""
    return logits.amax(dim=(2, 3))


def weight_count(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(parameter.numel() for parameter in network.parameters())


def _layer(read: int, width: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(read, width, kernel_size=3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(0.2),
    )
