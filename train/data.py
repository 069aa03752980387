"""Images on the device: batches, augmentation and targets, without a copy to the host."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from train.images import ImageSet
from train.losses import Targets
from train.recipe import AugmentRecipe


@dataclass(frozen=True)
class Batch:
    """Some images with their truth, on the device."""

    frames: Tensor
    """uint8 or float [B, channels, H, W], 0 to 255."""
    bits: Tensor
    """uint8 [B, P, H, W], see ImageSet."""
    labels: Tensor
    """float [B, C]"""
    outlined: Tensor
    """float [B, C]"""


class DeviceSet:
    """An ImageSet on the device."""

    def __init__(self, images: ImageSet, device: torch.device):
        self.device = device
        self.images = torch.from_numpy(images.images).to(device)
        self.bits = torch.from_numpy(images.bits).to(device)
        self.labels = torch.from_numpy(images.labels).float().to(device)
        self.outlined = torch.from_numpy(images.outlined).float().to(device)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor) -> Batch:
        """The images of these indices."""
        return Batch(self.images[index], self.bits[index], self.labels[index], self.outlined[index])

    def plus(self, images: ImageSet) -> "DeviceSet":
        """This set with more images behind its own."""
        more = DeviceSet(images, self.device)
        both = object.__new__(DeviceSet)
        both.device = self.device
        for name in ("images", "bits", "labels", "outlined"):
            setattr(both, name, torch.cat((getattr(self, name), getattr(more, name))))
        return both

    def in_order(self, size: int) -> Iterator[Batch]:
        """All images in their order, the last batch as large as it comes."""
        return (self.batch(index) for index in torch.split(torch.arange(len(self), device=self.device), size))

    def shuffled(self, size: int, generator: torch.Generator) -> list[Tensor]:
        """Indices of full batches in random order; the rest sits this epoch out. A set below `size` is one batch."""
        order = torch.randperm(len(self), generator=generator, device="cpu").to(self.device)
        full = min(size, len(self))
        return [part for part in torch.split(order, full) if len(part) == full]


def targets(batch: Batch, size: tuple[int, int]) -> Targets:
    """The truth at the network's pooled size (h, w): the share of each cell's pixels that are defect."""
    classes = batch.labels.shape[1]
    shifts = torch.arange(8, device=batch.bits.device, dtype=torch.uint8).view(1, 1, 8, 1, 1)
    planes = (batch.bits.unsqueeze(2) >> shifts & 1).flatten(1, 2)[:, :classes]  # [B, C, H, W]
    masks = torch.cat((planes, planes.amax(dim=1, keepdim=True)), dim=1).float()
    fractions = functional.adaptive_avg_pool2d(masks, size)
    return Targets(batch.labels, batch.outlined, fractions[:, :-1], fractions[:, -1])


def draw(count: int, generator: torch.Generator) -> Tensor:
    """The random numbers that `augment` needs, [count, 4] from 0 to 1.

    They are drawn on the host for the whole batch, so that the same come out on every device and however it is shared.
    """
    return torch.rand((count, 4), generator=generator)


def augment(batch: Batch, recipe: AugmentRecipe, drawn: Tensor) -> Batch:
    """Flip and jitter each image by its row of `drawn`; the masks follow the flips. Frames come back as float."""
    frames, bits = batch.frames, batch.bits
    horizontal, vertical, spread, moved = drawn.to(frames.device, non_blocking=True)[..., None, None, None].unbind(1)
    for wanted, chance, axis in ((recipe.flip_horizontal, horizontal, -1), (recipe.flip_vertical, vertical, -2)):
        if wanted:
            frames = torch.where(chance < 0.5, frames.flip(axis), frames)
            bits = torch.where(chance < 0.5, bits.flip(axis), bits)
    return Batch(_jittered(frames.float(), recipe, 2 * spread - 1, 2 * moved - 1), bits, batch.labels, batch.outlined)


def _jittered(frames: Tensor, recipe: AugmentRecipe, spread: Tensor, moved: Tensor) -> Tensor:
    if not recipe.contrast and not recipe.brightness:
        return frames
    mean = frames.mean(dim=(1, 2, 3), keepdim=True)
    contrast, brightness = 1 + recipe.contrast * spread, 255 * recipe.brightness * moved
    return ((frames - mean) * contrast + mean + brightness).clamp(0, 255)
