"""Random augmentation of a batch (flip, affine, elastic, photometric); masks share the geometry."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from train.data.device_set import Batch
from train.recipe import AugmentRecipe

BENDS = (7, 5)
"""Grid of control points of the elastic deformation, down and across."""

_NUMBERS = 8
"""Random numbers per image, besides those of the elastic deformation."""


def draw(count: int, recipe: AugmentRecipe, generator: torch.Generator) -> Tensor:
    """Random numbers for `augment`, [count, numbers] from 0 to 1.

    Drawn on the host for the whole batch, so they do not depend on the device or the number of processes.
    """
    bends = 2 * BENDS[0] * BENDS[1] if recipe.elastic else 0
    return torch.rand((count, _NUMBERS + bends), generator=generator)


def augment(batch: Batch, recipe: AugmentRecipe, drawn: Tensor) -> Batch:
    """Augment each image by its row of `drawn`; masks share the geometry. Returns float frames, 0 to 255."""
    frames, bits = batch.frames, batch.bits
    numbers = drawn.to(frames.device, non_blocking=True)  # [B, numbers]
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
    """Affine and elastic transform: bilinear for images, nearest for masks, edges repeated."""
    if not (recipe.rotate_degrees or recipe.scale or recipe.shift or recipe.elastic):
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
    if recipe.elastic:
        grid += _bend(signed[:, _NUMBERS - 2 :], 2 * recipe.elastic, (height, width))
    sampled = [
        functional.grid_sample(values, grid, mode=mode, padding_mode="border", align_corners=False)
        for values, mode in ((frames, "bilinear"), (bits.float(), "nearest"))
    ]
    return sampled[0], sampled[1].to(torch.uint8)


def _bend(signed: Tensor, most: float, size: tuple[int, int]) -> Tensor:
    """Displacement field [B, H, W, 2], bicubic between random control points of up to `most`."""
    field = functional.interpolate(most * signed.view(-1, 2, *BENDS), size, mode="bicubic", align_corners=True)
    return field.permute(0, 2, 3, 1)


def _centres(length: int, device: torch.device) -> Tensor:
    """Centres of `length` pixels on an axis from -1 to 1."""
    return (2 * torch.arange(length, device=device) + 1) / length - 1


def _jittered(frames: Tensor, recipe: AugmentRecipe, spread: Tensor, moved: Tensor) -> Tensor:
    if not recipe.contrast and not recipe.brightness:
        return frames
    mean = frames.mean(dim=(1, 2, 3), keepdim=True)
    contrast, brightness = 1 + recipe.contrast * spread, 255 * recipe.brightness * moved
    return ((frames - mean) * contrast + mean + brightness).clamp(0, 255)
