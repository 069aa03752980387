"""Classifier of patches and their surroundings on a frozen encoder, for few defective parts.

A patch is described by the encoder's features at three scales (hypercolumns, Hariharan et al., CVPR 2015), and by the
same features relative to those of its own picture (instance normalisation, Ulyanov et al., arXiv 1607.08022): on a
part of another surface or brightness a defect still differs from its surroundings.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.can_lite import EIGHTH, QUARTER, SIXTEENTH, LiteEncoder
from train.models.network import resized

STRIDE_PX = 8
"""Pixels along each side of a patch, of the picture as the encoder sees it."""
_CELL_PX = 16
"""Multiple of which the encoder's pictures have their sides."""
VIEWS: tuple[tuple[int, ...], ...] = ((), (3,), (2,))
"""Axes along which a picture is mirrored: itself and two mirror images are learnt, and judged together."""
_SHARPNESS = 2.0
"""Of the weights of the patches by which a picture is named: about those of the defect alone count."""
_SURENESS = 2.0
"""Of the names: the distance of a class to the strongest one is multiplied by it."""
_DROPOUT = 0.3
_DILATIONS = (1, 2)
"""Of the convolutions by which a patch is judged together with those around it."""
_LEAST_DEVIATION = 0.05
"""Added to a feature's deviation within a picture, so that the noise of a uniform picture is not amplified."""
_FARTHEST = 8.0
"""Relative features are limited to this many deviations."""


class ContextHead(nn.Module):
    """Defective or not: each patch by its description and those around it, up to 24 pixels away.

    Dilated convolutions as in the context layers of the document's network, with residual connections (He et al.,
    CVPR 2016). Drop-out is of whole channels of a picture (Tompson et al., CVPR 2015).
    """

    def __init__(self, described: int, width: int):
        """described: numbers that describe a patch."""
        super().__init__()
        self.gather = nn.Conv2d(described, width, kernel_size=1)
        self.context = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=3, padding=step, dilation=step) for step in _DILATIONS
        )
        self.decide = nn.Conv2d(width, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 1, h, w] of normalised descriptions [B, 2F, h, w]."""
        x = functional.relu(self.gather(functional.dropout2d(x, _DROPOUT, self.training)))
        for layer in self.context:
            x = x + functional.relu(layer(functional.dropout2d(x, _DROPOUT / 2, self.training)))
        logits: Tensor = self.decide(functional.dropout2d(x, _DROPOUT, self.training))
        return logits


class PatchClassifier(nn.Module):
    """Encoder, description of its patches, two small heads on it; logits of every class.

    One tells whether a patch is defective, the other which class it has: where a defect is can be learnt from all of
    them. Only the heads, `find` and `name`, are trained. A patch has F features, `feature_count`, and is described by
    2F numbers. shift, scale: normalisation of the descriptions. scales: sizes at which the encoder sees an image, as
    shares of its height and width; what is found at each is averaged.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, encoder: LiteEncoder, classes: int, width: int, scales: Sequence[tuple[float, float]] = ((1, 1),)
    ):
        super().__init__()
        self.encoder = encoder
        self.scales = tuple(scales)
        channels = encoder.channels
        self.feature_count = 2 * channels[QUARTER] + channels[EIGHTH] + channels[SIXTEENTH]
        self.register_buffer("shift", torch.zeros(1, 2 * self.feature_count, 1, 1))
        self.register_buffer("scale", torch.ones(1, 2 * self.feature_count, 1, 1))
        self.find = ContextHead(2 * self.feature_count, width)
        self.name = _perceptron(2 * self.feature_count, width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, C, H / 4, W / 4] of normalised images whose sides are multiples of 16.

        The mean of the image and its two mirror images at each size, and of 3x3 patches, interpolated: a single patch
        is often wrong. Patches beyond the edge count as undecided, so that the outermost ones, where the encoder sees
        its own padding, weigh less. The image has one name, that of its most defective patches; this class has the
        logit of a defect.
        """
        height, width = x.shape[2:]
        grid = height // STRIDE_PX, width // STRIDE_PX
        judged = [self._judged(resized(x, size)) for size in self.sizes(height, width)]
        found = torch.stack([resized(one, grid) for one, _ in judged]).mean(dim=0)
        names = torch.stack([one for _, one in judged]).mean(dim=0)
        logits = found + _SURENESS * (names - names.amax(dim=1, keepdim=True))
        return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of the pictures that the encoder sees of an image of this size, multiples of 16."""
        return [(_cells(height * tall), _cells(width * wide)) for tall, wide in self.scales]

    def _judged(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of a defect, [B, 1, h, w], and of the classes of the image, [B, C, 1, 1]."""
        views = [self._mirrored(x, axes) for axes in VIEWS]
        found = smooth(torch.stack([one for one, _ in views]).mean(dim=0))
        named = torch.stack([one for _, one in views]).mean(dim=0)
        weights = functional.softmax(_SHARPNESS * found.flatten(2), dim=2)  # [B, 1, h w]
        return found, (weights * named.flatten(2)).sum(dim=2)[:, :, None, None]

    def _mirrored(self, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        described = self.normalised(self.describe(x.flip(axes)))
        return self.find(described).flip(axes), self.name(described).flip(axes)

    def describe(self, x: Tensor) -> Tensor:
        """Descriptions of the patches of normalised images, [B, 2F, H / 8, W / 8]."""
        return described(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Features of the patches of normalised images, [B, F, H / 8, W / 8]."""
        found = self.encoder(x)
        quarter, coarse = found[QUARTER], found[SIXTEENTH]
        return torch.cat(
            (
                functional.avg_pool2d(quarter, kernel_size=2),
                functional.max_pool2d(quarter, kernel_size=2),
                found[EIGHTH],
                functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False),
            ),
            dim=1,
        )

    def normalised(self, descriptions: Tensor) -> Tensor:
        """Descriptions [B, 2F, h, w] in deviations of the sound ones."""
        return (descriptions - self.shift) * self.scale

    def normalise_by(self, sound: Tensor) -> None:
        """Take mean and deviation of the descriptions of N patches, [N, 2F], for the normalisation."""
        self.shift = sound.mean(dim=0)[None, :, None, None]
        self.scale = 1 / (sound.std(dim=0)[None, :, None, None] + 1e-3)


def _cells(length: float) -> int:
    """The nearest multiple of `_CELL_PX`, at least one."""
    return max(1, round(length / _CELL_PX)) * _CELL_PX


def described(features: Tensor) -> Tensor:
    """Features [B, F, h, w] followed by the same relative to their picture, [B, 2F, h, w]."""
    difference = features - features.mean(dim=(2, 3), keepdim=True)
    deviation = difference.abs().mean(dim=(2, 3), keepdim=True) + _LEAST_DEVIATION
    return torch.cat((features, (difference / deviation).clamp(-_FARTHEST, _FARTHEST)), dim=1)


def smooth(logits: Tensor) -> Tensor:
    """Mean of 3x3 patches; those beyond the edge count as undecided."""
    return functional.avg_pool2d(logits, kernel_size=3, stride=1, padding=1)


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Of each patch alone, with `width` hidden numbers; drop-out at the inputs of both layers."""
    return nn.Sequential(
        nn.Dropout(_DROPOUT),
        nn.Conv2d(inputs, width, kernel_size=1),
        nn.ReLU(),
        nn.Dropout(_DROPOUT),
        nn.Conv2d(width, outputs, kernel_size=1),
    )
