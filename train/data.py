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


def augment(batch: Batch, recipe: AugmentRecipe, generator: torch.Generator) -> Batch:
    """Flip and jitter each image on its own; the masks follow the flips. Frames come back as float."""
    frames, bits = batch.frames, batch.bits
    for wanted, axis in ((recipe.flip_horizontal, -1), (recipe.flip_vertical, -2)):
        if wanted:
            chosen = _uniform(frames, generator) > 0
            frames = torch.where(chosen, frames.flip(axis), frames)
            bits = torch.where(chosen, bits.flip(axis), bits)
    return Batch(_jittered(frames.float(), recipe, generator), bits, batch.labels, batch.outlined)


def _jittered(frames: Tensor, recipe: AugmentRecipe, generator: torch.Generator) -> Tensor:
    if not recipe.contrast and not recipe.brightness:
        return frames
    mean = frames.mean(dim=(1, 2, 3), keepdim=True)
    spread = 1 + recipe.contrast * _uniform(frames, generator)
    moved = 255 * recipe.brightness * _uniform(frames, generator)
    return ((frames - mean) * spread + mean + moved).clamp(0, 255)


def _uniform(frames: Tensor, generator: torch.Generator) -> Tensor:
    """One number per image, -1 to 1, drawn on the host so that every device draws the same."""
    drawn = torch.rand((len(frames), 1, 1, 1), generator=generator) * 2 - 1
    return drawn.to(frames.device, non_blocking=True)
