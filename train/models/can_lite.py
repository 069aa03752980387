"""Segmentation networks on a pretrained EfficientNet-Lite encoder: with dilated context layers, or a plain U-Net.

Encoder: Tan, Le: EfficientNet (ICML 2019), in the Lite variant of 2020, without squeeze-and-excitation and with ReLU6,
which keeps its activations in the range of INT8. Decoder: Ronneberger et al.: U-Net (MICCAI 2015), down to masks at
half the input size.
"""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.can import ContextAggregation, Skip

HALF, QUARTER, EIGHTH, SIXTEENTH, LAST = 0, 1, 2, 4, 6
"""Index of the encoder's last stage at each scale of the input; the last one is at a thirty-second."""


class LiteEncoder(nn.Module):
    """Stem and first stages of an EfficientNet-Lite; its features at each scale.

    stem: convolution of stride 2 with its normalisation and activation. stages: those that the decoder does not read
    are left out, which saves two thirds of the weights. channels: of the features of the last stage at each scale.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], channels: Mapping[int, int]):
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.channels = dict(channels)

    def first(self, stages: int) -> list[nn.Module]:
        """The stem and this many stages, what freezing keeps as it is; nothing for 0."""
        return [self.stem, *self.stages[:stages]] if stages else []

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Features by stage, the last one at each scale alone, of normalised images [B, channels, H, W]."""
        x = self.stem(x)
        features = {}
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self.channels:
                features[number] = x
        return features


class LiteDecoder(nn.Module):
    """Two steps from an eighth of the input size to logits at half of it, joined by the encoder's features.

    channels: of those features. The head starts at the probability `prior` for every pixel.
    """

    def __init__(self, read: int, channels: Mapping[int, int], classes: int, width: int, prior: float):
        super().__init__()
        half = max(1, width // 2)
        self.narrow = _layer(read, width, kernel=1)
        self.quarters = _layer(width + channels[QUARTER], width)
        self.narrower = _layer(width, half, kernel=1)
        self.halves = _layer(half + channels[HALF], half)
        self.head = nn.Conv2d(half, classes, kernel_size=1)
        nn.init.constant_(cast(Tensor, self.head.bias), math.log(prior / (1 - prior)))

    def forward(self, x: Tensor, features: dict[int, Tensor]) -> Tensor:
        """Logits [B, classes, H / 2, W / 2] of x [B, read, H / 8, W / 8]."""
        x = self.quarters(_joined(self.narrow(x), features[QUARTER]))  # [B, width, H / 4, W / 4]
        x = self.halves(_joined(self.narrower(x), features[HALF]))  # [B, width / 2, H / 2, W / 2]
        logits: Tensor = self.head(x)
        return logits


class LiteContext(nn.Module):
    """Encoder to a sixteenth, the thirteen dilated layers at an eighth, decoder.

    The dilated layers take the place of the encoder's last two stages: context without another loss of resolution.
    What they read joins their output, so that gradients reach the encoder past the fresh layers.
    """

    def __init__(
        self,
        encoder: LiteEncoder,
        classes: int,
        width: int = 32,
        skip: Skip = "concat",
        prior: float = 0.5,
        separable: bool = False,
    ):
        super().__init__()
        self.encoder = encoder
        self.gather = _layer(encoder.channels[SIXTEENTH] + encoder.channels[EIGHTH], 2 * width, kernel=1)
        self.context = ContextAggregation(2 * width, width, width, pooling=1, skip=skip, separable=separable)
        self.decoder = LiteDecoder(3 * width, encoder.channels, classes, width, prior)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes, H / 2, W / 2] of normalised images whose sides are multiples of 16."""
        features = self.encoder(x)
        gathered = self.gather(_joined(features[SIXTEENTH], features[EIGHTH]))  # [B, 2 width, H / 8, W / 8]
        x = torch.cat((gathered, self.context(gathered)), dim=1)
        logits: Tensor = self.decoder(x, features)
        return logits


class LiteUNet(nn.Module):
    """The whole encoder under the same decoder, without context layers."""

    def __init__(self, encoder: LiteEncoder, classes: int, width: int = 32, prior: float = 0.5):
        super().__init__()
        self.encoder = encoder
        self.sixteenth = _layer(encoder.channels[LAST] + encoder.channels[SIXTEENTH], 3 * width)
        self.eighth = _layer(3 * width + encoder.channels[EIGHTH], 2 * width)
        self.decoder = LiteDecoder(2 * width, encoder.channels, classes, width, prior)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes, H / 2, W / 2] of normalised images whose sides are multiples of 32."""
        features = self.encoder(x)
        x = self.sixteenth(_joined(features[LAST], features[SIXTEENTH]))  # [B, 3 width, H / 16, W / 16]
        x = self.eighth(_joined(x, features[EIGHTH]))  # [B, 2 width, H / 8, W / 8]
        logits: Tensor = self.decoder(x, features)
        return logits


def _joined(x: Tensor, finer: Tensor) -> Tensor:
    """Enlarge x by two, to the nearest, and put the finer features beside it."""
    return torch.cat((functional.interpolate(x, scale_factor=2.0, mode="nearest"), finer), dim=1)


def _layer(read: int, width: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(read, width, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )
