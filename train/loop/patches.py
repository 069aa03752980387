"""Patches of the training pictures in memory, drawn so that each class and each part comes as often as another."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_DEFECTIVE, MOST_SOUND = 150, 250
"""Patches kept of one picture, of each kind."""
MOST = 1_000_000
"""Patches kept of all pictures, of each kind; with 400 numbers in float16 they take 0.8 GB."""
DEFECTIVE_FROM = 0.25
"""Share of defect pixels from which on a patch shows the class; those between 0 and this are left out."""


@dataclass(frozen=True)
class CutPicture:
    """A picture, or a mirrored one, cut into P patches."""

    part: int
    """Number of the part it shows."""
    good: bool
    descriptions: Tensor
    """float [P, D]"""
    fractions: Tensor
    """float [P, C], share of each class in the pixels of the patch."""


class PartDraw:
    """Draws patches with replacement: a part at random, then one of its patches."""

    def __init__(self, patches: Tensor, parts: Tensor):
        """patches: int [N], what is drawn; parts: int [N], the part of each."""
        self.patches = patches
        _, place, counts = torch.unique(parts, return_inverse=True, return_counts=True)
        chances = (1 / counts)[place].double().cumsum(0)
        self._until = chances / chances[-1] if len(chances) else chances

    def __len__(self) -> int:
        return len(self.patches)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """int [count]; the generator is on the host."""
        at = torch.searchsorted(self._until, torch.rand(count, generator=generator, dtype=torch.float64))
        return self.patches[at.clamp(max=len(self) - 1)]


class Patches:
    """Patches of all pictures.

    descriptions: float16 [N, D]. labels: bool [N, C]. Of each picture a random choice is kept, at most
    `most` of each kind and not more than `MOST_DEFECTIVE` and `MOST_SOUND`.
    """

    def __init__(self, pictures: Iterable[CutPicture], most: int, generator: torch.Generator):
        kept: list[tuple[Tensor, Tensor]] = []
        parts, good = [], []
        for picture in pictures:
            share = picture.fractions.amax(dim=1)
            chosen = torch.cat(
                (
                    _some(torch.nonzero(share > DEFECTIVE_FROM)[:, 0], min(MOST_DEFECTIVE, most), generator),
                    _some(torch.nonzero(share == 0)[:, 0], min(MOST_SOUND, most), generator),
                )
            )
            kept.append((picture.descriptions[chosen].half(), picture.fractions[chosen] > DEFECTIVE_FROM))
            parts.append(torch.full((len(chosen),), picture.part))
            good.append(torch.full((len(chosen),), picture.good))
        self.descriptions = torch.cat([descriptions for descriptions, _ in kept])
        self.labels = torch.cat([labels for _, labels in kept])
        self._parts, of_good = torch.cat(parts), torch.cat(good)
        sound = ~self.labels.any(dim=1)
        self.classes = {number: self._draw(shown) for number, shown in enumerate(self.labels.T) if shown.any()}
        """Patches of each class that has an outline, by its number."""
        self.defective = self._draw(~sound)
        self.good = self._draw(of_good)
        self.beside = self._draw(sound & ~of_good)
        """Sound patches of pictures with a defect."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """int [count]: half of them defective, the others of good pictures and, a quarter, beside defects."""
        beside = count // 4 if len(self.beside) else 0
        shares = ((self.defective, count // 2), (self.beside, beside), (self.good, count - count // 2 - beside))
        return torch.cat([one.draw(share, generator) for one, share in shares if share])

    def draw_named(self, each: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Patches int [N], `each` of every class, and their classes int [N]."""
        drawn = torch.cat([one.draw(each, generator) for one in self.classes.values()])
        return drawn, torch.tensor(list(self.classes)).repeat_interleave(each)

    def _draw(self, chosen: Tensor) -> PartDraw:
        return PartDraw(torch.nonzero(chosen)[:, 0], self._parts[chosen])


def _some(numbers: Tensor, most: int, generator: torch.Generator) -> Tensor:
    if len(numbers) <= most:
        return numbers
    return numbers[torch.randperm(len(numbers), generator=generator)[:most]]
