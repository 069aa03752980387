"""Images on the device: batches, augmentation and targets, without a copy to the host."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

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

    def shuffled(self, size: int, generator: torch.Generator, balanced: bool = False) -> list[Tensor]:
        """Indices of full batches in random order; the rest sits this epoch out. A set below `size` is one batch.

        Balanced, they are drawn with replacement, each with a chance of one over the root of how many images have
        just its classes: the rare ones come more often than they are there, but not as often as the common ones.
        """
        if balanced:
            order = torch.multinomial(self._chances(), len(self), replacement=True, generator=generator)
        else:
            order = torch.randperm(len(self), generator=generator)
        full = min(size, len(self))
        return [part for part in torch.split(order, full) if len(part) == full]

    def _chances(self) -> Tensor:
        _, kind, counts = torch.unique(self.labels.cpu(), dim=0, return_inverse=True, return_counts=True)
        chances: Tensor = counts.float().rsqrt()[kind]
        return chances

    def _stored(self, values: Tensor) -> Tensor:
        return values.pin_memory() if self.home != self.device else values.to(self.home)


def _home(images: ImageSet, device: torch.device) -> torch.device:
    """The device, if the set takes at most half of its free memory; else the host."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    return device if images.images.nbytes + images.bits.nbytes <= free // 2 else torch.device("cpu")


def targets(batch: Batch, size: tuple[int, int]) -> Targets:
    """The truth at the network's pooled size (h, w), which divides the frames': the share of defect in each cell."""
    kinds = range(batch.labels.shape[1])
    planes = [batch.bits[:, kind // 8] >> kind % 8 & 1 for kind in kinds]
    masks = torch.stack((*planes, batch.bits.amax(dim=1).clamp(max=1)), dim=1)  # [B, C + 1, H, W]
    fractions = _cell_means(masks, size)
    return Targets(batch.labels, batch.outlined, fractions[:, :-1], fractions[:, -1])


def _cell_means(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """The mean of each cell of masks uint8 [..., H, W]: float [..., h, w].

    Summed as whole numbers, which takes a quarter of the time of pooling them as floats.
    """
    rows, columns = masks.shape[-2] // size[0], masks.shape[-1] // size[1]
    of_rows = reduce(torch.add, [masks[..., row::rows, :] for row in range(rows)]).to(torch.int16)
    return reduce(torch.add, [of_rows[..., column::columns] for column in range(columns)]) / (rows * columns)


def draw(count: int, generator: torch.Generator) -> Tensor:
    """The random numbers that `augment` needs, [count, 8] from 0 to 1.

    They are drawn on the host for the whole batch, so that the same come out on every device and however it is shared.
    """
    return torch.rand((count, 8), generator=generator)


def augment(batch: Batch, recipe: AugmentRecipe, drawn: Tensor) -> Batch:
    """Flip, move and jitter each image by its row of `drawn`; the masks follow. Frames come back as float."""
    frames, bits = batch.frames, batch.bits
    numbers = drawn.to(frames.device, non_blocking=True)  # [B, 8]
    flips = numbers[:, :2, None, None, None] < 0.5
    for wanted, chosen, axis in ((recipe.flip_horizontal, flips[:, 0], -1), (recipe.flip_vertical, flips[:, 1], -2)):
        if wanted:
            frames = torch.where(chosen, frames.flip(axis), frames)
            bits = torch.where(chosen, bits.flip(axis), bits)
    signed = 2 * numbers[:, 2:] - 1
    frames, bits = _moved(frames.float(), bits, recipe, signed)
    frames = _jittered(frames, recipe, signed[:, 4, None, None, None], signed[:, 5, None, None, None])
    return Batch(frames, bits, batch.labels, batch.outlined)


def _moved(frames: Tensor, bits: Tensor, recipe: AugmentRecipe, signed: Tensor) -> tuple[Tensor, Tensor]:
    """Turn, scale and shift: images linearly, masks to the nearest, both mirrored at their edges."""
    if not (recipe.rotate_degrees or recipe.scale or recipe.shift):
        return frames, bits
    height, width = frames.shape[2:]
    angle = signed[:, :1] * math.radians(recipe.rotate_degrees)
    grow = 1 + recipe.scale * signed[:, 1:2]
    cosine, sine = torch.cos(angle) * grow, torch.sin(angle) * grow  # [B, 1]
    shift = 2 * recipe.shift * signed[:, 2:4]  # the grid runs from -1 to 1
    ys, xs = (_centres(length, frames.device) for length in (height, width))
    grid = frames.new_empty((len(frames), height, width, 2))  # functional.affine_grid takes six times as long
    grid[..., 0] = (cosine * xs + shift[:, 0, None])[:, None] - (sine * height / width * ys)[:, :, None]
    grid[..., 1] = (sine * width / height * xs + shift[:, 1, None])[:, None] + (cosine * ys)[:, :, None]
    sampled = [
        functional.grid_sample(values, grid, mode=mode, padding_mode="reflection", align_corners=False)
        for values, mode in ((frames, "bilinear"), (bits.float(), "nearest"))
    ]
    return sampled[0], sampled[1].to(torch.uint8)


def _centres(length: int, device: torch.device) -> Tensor:
    """The centres of `length` pixels on an axis that runs from -1 to 1."""
    return (2 * torch.arange(length, device=device) + 1) / length - 1


def _jittered(frames: Tensor, recipe: AugmentRecipe, spread: Tensor, moved: Tensor) -> Tensor:
    if not recipe.contrast and not recipe.brightness:
        return frames
    mean = frames.mean(dim=(1, 2, 3), keepdim=True)
    contrast, brightness = 1 + recipe.contrast * spread, 255 * recipe.brightness * moved
    return ((frames - mean) * contrast + mean + brightness).clamp(0, 255)
