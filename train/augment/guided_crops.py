"""Guided-crop augmentation of the paper: real defects pasted onto images of good parts.

Five steps, one function each: choose classes, choose source and base images, cut out blobs, paste them, transform the
whole image. All sources are images of the training part.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from synthetic.artists import ARTISTS, Artist
from train.augment.blobs import Blob, find_blobs
from train.augment.drawn_defects import draw_defect
from train.augment.paste import paste
from train.augment.photometric import jittered
from train.data.dataset import Image, Masks
from train.data.image_set import Bits, ImageSet, present
from train.errors import DataError
from train.recipe import CropsRecipe

MOST_DEFECTS = 3
"""The paper: one to three defects per image."""


@dataclass(frozen=True)
class DefectLibrary:
    """Index of the training part: good images, and images with outlined defects by class."""

    images: ImageSet
    bases: NDArray[np.int64]
    """Indices of the good images."""
    sources: tuple[tuple[int, ...], ...]
    """Per class, indices of the images with an outlined defect of it."""
    cooccurrence: NDArray[np.float64]
    """[C, C]: of the images that have class c, how many have class d; the diagonal counts them all."""
    artists: tuple[tuple[Artist, ...], ...]
    """Per class, the artists that can draw its defects."""
    _blobs: dict[tuple[int, int], list[Blob]] = field(default_factory=dict)

    def blobs(self, index: int, kind: int) -> list[Blob]:
        """Blobs of a class in an image; cut out at the first call, then cached."""
        if (index, kind) not in self._blobs:
            self._blobs[index, kind] = find_blobs(self.images.images[index], self.images.masks(index)[kind])
        return self._blobs[index, kind]


def index_defects(training: ImageSet, classes: Sequence[str] = ()) -> DefectLibrary:
    """Index the training part. Raises DataError if it has no good image or no outlined defect.

    classes: class names, by which artists are found.
    """
    drawn = training.labels & training.outlined
    bases = np.flatnonzero(~training.labels.any(axis=1))
    sources = tuple(tuple(np.flatnonzero(column).tolist()) for column in drawn.T)
    check_sources(len(bases), int(drawn.any(axis=1).sum()))
    counted = drawn.astype(np.float64)
    names = classes or [""] * len(sources)
    return DefectLibrary(training, bases, sources, counted.T @ counted, tuple(ARTISTS.get(name, ()) for name in names))


def check_sources(good: int, outlined: int) -> None:
    """Raise DataError unless the training part has good images and images with outlined defects."""
    if not good or not outlined:
        raise DataError(
            f"guided crops: found {good} good images and {outlined} with outlined defects in the training part, "
            "expected both; add some, or switch them off with --set crops.images=0"
        )


def class_probabilities(losses: Sequence[float], stock: DefectLibrary) -> NDArray[np.float64]:
    """Probability of each class as the first defect of an image, proportional to its validation loss.

    Interpretation of the paper's "the higher the loss, the higher the probability". Classes without a source get 0.
    """
    there = np.array([bool(indices) for indices in stock.sources])
    weights = np.where(there, np.maximum(np.asarray(losses, dtype=np.float64), 0), 0.0)
    weights = weights if weights.sum() > 0 else there.astype(np.float64)
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


@dataclass(frozen=True)
class Crops:
    """A set of artificial images, generated on demand.

    Each image has its own random stream and depends only on `seed` and its number.
    """

    stock: DefectLibrary
    recipe: CropsRecipe
    probabilities: NDArray[np.float64]
    seed: Sequence[int]

    def __len__(self) -> int:
        return self.recipe.images

    def make(self, numbers: Iterable[int]) -> ImageSet:
        """Generate the images of these numbers, at least one."""
        made = [self._one(number) for number in numbers]
        images, bits = np.stack([image for image, _ in made]), np.stack([bits for _, bits in made])
        labels = np.stack([present(one, len(self.probabilities)) for one in bits])
        return ImageSet(images, bits, labels, np.ones_like(labels))

    def _one(self, number: int) -> tuple[Image, Bits]:
        stream = np.random.SeedSequence(list(self.seed), spawn_key=(number,))
        return _make_one(self.stock, self.recipe, self.probabilities, np.random.default_rng(stream))


def choose_classes(stock: DefectLibrary, probabilities: NDArray[np.float64], generator: Generator) -> list[int]:
    """Step 1: a class by its probability, then up to two that co-occur with it (possibly the same class)."""
    first = int(generator.choice(len(probabilities), p=probabilities))
    partners = stock.cooccurrence[first] / stock.cooccurrence[first].sum()
    more = generator.choice(len(partners), size=int(generator.integers(MOST_DEFECTS)), p=partners)
    return [first, *map(int, more)]


def _make_one(
    stock: DefectLibrary, recipe: CropsRecipe, probabilities: NDArray[np.float64], generator: Generator
) -> tuple[Image, Bits]:
    classes = choose_classes(stock, probabilities, generator)
    image = stock.images.images[generator.choice(stock.bases)].copy()  # [channels, H, W]
    bits = np.zeros(stock.images.bits.shape[1:], dtype=np.uint8)  # [P, H, W]
    wraps = _may_wrap(image, axis=1), _may_wrap(image, axis=2)
    priority = {kind: generator.random() for kind in classes}
    drawn = recipe.drawn > 0 and generator.random() < recipe.drawn
    for kind in sorted(classes, key=lambda kind: priority[kind]):  # later ones cover earlier ones
        for where in _defects(image, stock, kind, recipe, generator, drawn):
            bits *= ~where
            bits[kind // 8] |= where * np.uint8(1 << kind % 8)
    return _change_whole(image, bits, wraps, recipe, generator)


def _defects(
    image: Image, stock: DefectLibrary, kind: int, recipe: CropsRecipe, generator: Generator, drawn: bool
) -> Iterator[Masks]:
    """Put defects of a class into `image`, in place: a drawn one or pasted blobs; yields their masks."""
    if drawn and stock.artists[kind]:
        yield draw_defect(image, stock.artists[kind], generator)
        return
    for blob in _take_blobs(stock, kind, generator):
        yield paste(image, blob, recipe, generator)


def _take_blobs(stock: DefectLibrary, kind: int, generator: Generator) -> list[Blob]:
    """Steps 2 and 3: at least one of the blobs of a random training image with the class."""
    blobs = stock.blobs(int(generator.choice(stock.sources[kind])), kind)
    count = int(generator.integers(1, len(blobs) + 1))
    return [blobs[number] for number in generator.permutation(len(blobs))[:count]]


def _change_whole(
    image: Image, bits: Bits, wraps: tuple[bool, bool], recipe: CropsRecipe, generator: Generator
) -> tuple[Image, Bits]:
    """Step 5: flips, cyclic shifts if the base shows no border, colour jitter."""
    for axis in (1, 2):
        if generator.random() < 0.5:
            image, bits = np.flip(image, axis), np.flip(bits, axis)
        if recipe.shift and wraps[axis - 1]:
            distance = int(generator.integers(image.shape[axis]))
            image, bits = np.roll(image, distance, axis), np.roll(bits, distance, axis)
    return jittered(image, recipe.brightness, recipe.contrast, generator), np.ascontiguousarray(bits)


def _may_wrap(image: Image, axis: int) -> bool:
    """Whether a cyclic shift along `axis` is safe, because neither side shows a border.

    A side shows a border if the brightness of its outermost hundredth differs from the band inside by more than the
    factor 1/0.6; measured on Magnetic Tile, whose background strips are nearly black.
    """
    rows = np.moveaxis(image, axis, 0)
    return not (_border(rows) or _border(rows[::-1]))


def _border(rows: Image) -> bool:
    size = len(rows)
    outer = rows[: max(1, size // 100)].mean() + 1
    inner = rows[size // 20 : size // 8 + 1].mean() + 1
    return bool(min(outer, inner) < 0.6 * max(outer, inner))
