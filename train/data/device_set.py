"""Images on the device: batches without a copy to the host."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bundle import TileGrid
from train.data.image_set import Draw, ImageSet, present


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
    """An ImageSet on the device; where it does not fit there, in host memory from which each batch is copied."""

    def __init__(self, images: ImageSet, device: torch.device):
        self.device = device
        self.home = _home(images, device)
        self.images = self._stored(torch.from_numpy(images.images))
        self.bits = self._stored(torch.from_numpy(images.bits))
        self.labels = self._stored(torch.from_numpy(images.labels).float())
        self.outlined = self._stored(torch.from_numpy(images.outlined).float())

    def __len__(self) -> int:
        return len(self.images)

    @property
    def own(self) -> int:
        """Number of images that are not generated; these come first."""
        return len(self)

    @property
    def busy(self) -> bool:
        """Whether a batch costs the host work, which is better done while the network computes."""
        return self.home.type == "cpu"

    def batch(self, index: Tensor) -> Batch:
        """The images of these indices, on the device."""
        index = index.to(self.home, non_blocking=True)  # else the host would wait for the device's last step
        fields = (self.images, self.bits, self.labels, self.outlined)
        return Batch(*(field[index].to(self.device, non_blocking=True) for field in fields))

    def in_order(self, size: int) -> Iterator[Batch]:
        """All images in their order, the last batch as large as it comes."""
        return (self.batch(index) for index in torch.split(torch.arange(len(self)), size))

    def shuffled(
        self, size: int, generator: torch.Generator, draw: Draw = "each", most: int | None = None
    ) -> list[Tensor]:
        """Indices of full batches in random order; the rest sits this epoch out. A set below `size` is one batch.

        most: images of an epoch where that is fewer than there are.

        "balanced" draws with replacement, each image with a chance of one over the root of how many images have just
        its classes: the rare ones come more often than they are there, but not as often as the common ones. "halves"
        draws a good image half of the time, otherwise one of a class, each class as often as another.
        """
        if draw != "each":
            chances = self._balanced() if draw == "balanced" else self._halves()
            order = torch.multinomial(chances, len(self), replacement=True, generator=generator)
        else:
            order = torch.randperm(len(self), generator=generator)
        order = order[:most]
        full = min(size, len(order))
        return [part for part in torch.split(order, full) if len(part) == full]

    def _halves(self) -> Tensor:
        labels = self.labels.cpu()
        good, having = ~labels.bool().any(dim=1), labels.sum(dim=0)  # [N], [C]
        of_classes = (labels / having.clamp(min=1)).sum(dim=1) / (having > 0).sum().clamp(min=1)
        return of_classes + good / good.sum().clamp(min=1)

    def _balanced(self) -> Tensor:
        _, kind, counts = torch.unique(self.labels.cpu(), dim=0, return_inverse=True, return_counts=True)
        chances: Tensor = counts.float().rsqrt()[kind]
        return chances

    def _stored(self, values: Tensor) -> Tensor:
        return values.pin_memory() if self.home != self.device else values.to(self.home)


class TiledSet(DeviceSet):
    """All tiles of the pictures of an ImageSet, in order, each cut when a batch needs it.

    The pictures stay in host memory. Every class that a picture has must be outlined in it.
    """

    def __init__(self, pictures: ImageSet, device: torch.device, grid: TileGrid):
        self.device, self.home = device, torch.device("cpu")
        self.pictures, self.grid = pictures, grid
        self._places = grid.places

    def __len__(self) -> int:
        return len(self.pictures) * len(self._places)

    def batch(self, index: Tensor) -> Batch:
        """The tiles of these indices, on the device."""
        numbers = [(number // len(self._places), self._places[number % len(self._places)]) for number in index.tolist()]
        images, bits = (
            np.stack([self.grid.tile(values[number], *place) for number, place in numbers])
            for values in (self.pictures.images, self.pictures.bits)
        )
        labels = np.stack([present(one, self.pictures.labels.shape[1]) for one in bits]).astype(np.float32)
        fields = (torch.from_numpy(values) for values in (images, bits, labels, np.ones_like(labels)))
        return Batch(*(field.to(self.device) for field in fields))


def evaluation_set(images: ImageSet, device: torch.device, grid: TileGrid | None) -> DeviceSet:
    """A set to be predicted in order: the images, or the tiles of each."""
    return DeviceSet(images, device) if grid is None else TiledSet(images, device, grid)


def _home(images: ImageSet, device: torch.device) -> torch.device:
    """The device, if the set takes at most half of its free memory; else the host."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    return device if images.images.nbytes + images.bits.nbytes <= free // 2 else torch.device("cpu")
