"""Classifier of patches and their surroundings on a frozen encoder, for few defective parts."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.can_lite import EIGHTH, QUARTER, SIXTEENTH, LiteEncoder
from train.models.network import resized
from train.models.patch_features import Descriptions, PatchFeatures
from train.models.patch_heads import FindHead, OutlineHead, name_head

STRIDE_PX = 8
"""Pixels along each side of a patch, of the picture as the encoder sees it."""
OUTLINE_PX = 4
"""The same of a pixel of the outlines."""
_CELL_PX = 16
"""Multiple of which the encoder's pictures have their sides."""
VIEWS: tuple[tuple[int, ...], ...] = ((), (3,), (2,))
"""Axes along which a picture is mirrored: itself and two mirror images are learnt, and judged together."""
_SHARPNESS = 2.0
"""Of the weights of the patches by which a picture is named: about those of the defect alone count."""
_SURENESS = 2.0
"""Of the names: the distance of a class to the strongest one is multiplied by it."""


class _Judgement(NamedTuple):
    """Logits of an image at one size."""

    found: Tensor
    """Of a defect in each patch, [B, 1, H / 8, W / 8]."""
    names: Tensor
    """Of the image's classes, [B, C, 1, 1]."""
    outline: Tensor
    """Of a defect in each pixel of the outlines, [B, 1, H / 4, W / 4]."""


class PatchClassifier(nn.Module):
    """Encoder, description of its patches, three small heads on it; logits of every class.

    One tells whether a patch is defective, another which class it has: where a defect is can be learnt from all of
    them; the third outlines. Only the heads, `find`, `name` and `outline`, are trained. scales: sizes at which the
    encoder sees an image, as shares of its height and width; what is found at each is averaged.
    """

    def __init__(
        self, encoder: LiteEncoder, classes: int, width: int, scales: Sequence[tuple[float, float]] = ((1, 1),)
    ):
        super().__init__()
        self.encoder = encoder
        self.scales = tuple(scales)
        channels = encoder.channels
        features = 2 * channels[QUARTER] + channels[EIGHTH] + channels[SIXTEENTH]
        self.cell_features = channels[QUARTER] + channels[EIGHTH] / 4 + channels[SIXTEENTH] / 16
        """Numbers that the encoder gives for each pixel of the outlines."""
        self.descriptions = Descriptions(features)
        self.find = FindHead(2 * features, width)
        self.name = name_head(2 * features, width, classes)
        self.outline = OutlineHead(channels, width)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, C, H / 4, W / 4] of normalised images whose sides are multiples of 16.

        The largest logit is that of the most defective patch, the mean of the image and its two mirror images at each
        size, and of 3x3 patches: a single one is often wrong. Outlines have the shape that patches and outlines have
        together. The image has one name, that of its most defective patches; this class has the logit of a defect.
        """
        height, width = x.shape[2:]
        judged = [self._judged(resized(x, size)) for size in self.sizes(height, width)]
        patches = height // STRIDE_PX, width // STRIDE_PX
        pixels = height // OUTLINE_PX, width // OUTLINE_PX
        found = torch.stack([resized(one.found, patches) for one in judged]).mean(dim=0)
        outline = torch.stack([resized(one.outline, pixels) for one in judged]).mean(dim=0)
        names = torch.stack([one.names for one in judged]).mean(dim=0)
        shape = (resized(found, pixels) + outline) / 2
        defect = shape - shape.amax(dim=(2, 3), keepdim=True) + found.amax(dim=(2, 3), keepdim=True)
        return defect + _SURENESS * (names - names.amax(dim=1, keepdim=True))

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of the pictures that the encoder sees of an image of this size, multiples of 16."""
        return [(_cells(height * tall), _cells(width * wide)) for tall, wide in self.scales]

    def features(self, x: Tensor) -> PatchFeatures:
        """Features of normalised images."""
        return PatchFeatures.of(self.encoder, x)

    def fit_descriptions(self, sound: Sequence[PatchFeatures]) -> None:
        """Normalise the descriptions by those of good pictures, at each size."""
        self.descriptions.fit([one.patches() for one in sound])
        self.outline.fit_descriptions(sound)

    def _judged(self, x: Tensor) -> _Judgement:
        """The outline is that of the image alone."""
        seen = [self.features(x.flip(axes)) for axes in VIEWS]
        views = [self.descriptions(one.patches()) for one in seen]
        found = torch.stack([self.find(one).flip(axes) for one, axes in zip(views, VIEWS, strict=True)])
        named = torch.stack([self.name(one).flip(axes) for one, axes in zip(views, VIEWS, strict=True)]).mean(dim=0)
        smoothed = smooth(found.mean(dim=0))
        weights = functional.softmax(_SHARPNESS * smoothed.flatten(2), dim=2)  # [B, 1, h w]
        names = (weights * named.flatten(2)).sum(dim=2)[:, :, None, None]
        return _Judgement(smoothed, names, self.outline(self.outline.described(seen[0])))


def _cells(length: float) -> int:
    """The nearest multiple of `_CELL_PX`, at least one."""
    return max(1, round(length / _CELL_PX)) * _CELL_PX


def smooth(logits: Tensor) -> Tensor:
    """Mean of 3x3 patches; those beyond the edge count as undecided.

    The outermost patches, where the encoder sees its own padding, weigh less.
    """
    return functional.avg_pool2d(logits, kernel_size=3, stride=1, padding=1)
