"""Network with its input normalisation in front, and the outputs derived from its logits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_VARIANCE = 4.0
"""In squared grey levels; added to an image's variance, so that the noise of a uniform image is not amplified."""


class NormalisedNetwork(nn.Module):
    """A network with its normalisation in front: uint8 frames in, mask logits out.

    mean, deviation: one per input channel, for values 0 to 1; buffers, stored with the weights. With `by_image` the
    mean and deviation of each image are used instead, which makes the network independent of exposure.
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
        """Logits [B, C, h, w] of frames [B, 1 or 3, H, W], uint8 or float with values 0 to 255."""
        logits: Tensor = self.body(self.prepared(frames))
        return logits

    def prepared(self, frames: Tensor) -> Tensor:
        """Normalised frames in the channels-last layout."""
        x = normalised(frames, self.mean, self.deviation, self.by_image)
        return x.contiguous(memory_format=torch.channels_last)


def normalised(frames: Tensor, mean: Tensor, deviation: Tensor, by_image: bool) -> Tensor:
    """Normalise frames [B, channels, H, W] of 0 to 255; with `by_image`, `mean` and `deviation` are ignored."""
    x = frames.float()
    if not by_image:
        return x * (1 / (255 * deviation)) + (-mean / deviation)
    x = x - x.mean(dim=(1, 2, 3), keepdim=True)
    return x * (x.square().mean(dim=(1, 2, 3), keepdim=True) + LEAST_VARIANCE).rsqrt()


def resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Float values [B, channels, H, W] resized to size (h, w), bilinear."""
    if (values.shape[2], values.shape[3]) == size:
        return values
    return functional.interpolate(values, size, mode="bilinear", align_corners=False)


def image_scores(values: Tensor) -> Tensor:
    """Image-level value of each class, [B, C]: the maximum of mask logits or probabilities [B, C, h, w]."""
    return values.amax(dim=(2, 3))


def scores_and_masks(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs of a bundle's graph: scores float [B, C] and masks uint8 [B, C, h, w] of logits [B, C, h, w].

    A mask is Floor(p * 255 + 0.5); the floor is explicit because TensorRT's cast to uint8 truncates.
    """
    probabilities = torch.sigmoid(logits)
    return image_scores(probabilities), torch.floor(probabilities * 255 + 0.5).to(torch.uint8)


def weight_count(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(parameter.numel() for parameter in network.parameters())
