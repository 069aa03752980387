"""Training tiles: drawn from pictures with preference for defects."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bundle import Tiling
from train.data.image_set import ImageSet, present
from train.recipe import TileDrawsRecipe

Pixels = NDArray[np.int64]
"""Rows and columns of some pixels of a blob, [K, 2]."""

_MOST_PIXELS = 256
"""Pixels kept of each blob, evenly spread."""


class TileDrawer:
    """Pictures with the places of their defects, from which tiles are drawn.

    Of each picture `per_picture` tiles are drawn. In a defective one a share of them holds a random pixel of a random
    blob of a random class at a random place of the tile, as far as the picture reaches; the others lie anywhere, as all
    tiles of a good one.
    """

    def __init__(self, pictures: ImageSet, tiling: Tiling, recipe: TileDrawsRecipe):
        self._pictures, self._tiling, self._recipe = pictures, tiling, recipe
        self._blobs = [_blobs_by_class(pictures, index) for index in range(len(pictures))]

    def draw(self, seed: Sequence[int]) -> ImageSet:
        """Tiles of all pictures in their order; the same for the same seed."""
        pictures, tiling, generator = self._pictures, self._tiling, np.random.default_rng(list(seed))
        count = self._recipe.per_picture
        size = len(pictures) * count, tiling.height, tiling.width
        images = np.empty((size[0], pictures.images.shape[1], *size[1:]), np.uint8)
        bits = np.empty((size[0], pictures.bits.shape[1], *size[1:]), np.uint8)
        for index, (picture, truth) in enumerate(zip(pictures.images, pictures.bits, strict=True)):
            for place, (top, left) in enumerate(self._corners(index, generator)):
                rows, columns = slice(top, top + tiling.height), slice(left, left + tiling.width)
                images[index * count + place] = picture[:, rows, columns]
                bits[index * count + place] = truth[:, rows, columns]
        labels = np.stack([present(one, pictures.labels.shape[1]) for one in bits])
        parts = tuple(name for name in pictures.parts for _ in range(count))
        return ImageSet(images, bits, labels, np.ones_like(labels), parts)

    def _corners(self, index: int, generator: Generator) -> list[tuple[int, int]]:
        """Top and left of each tile of a picture."""
        classes, count = self._blobs[index], self._recipe.per_picture
        at_defects = round(self._recipe.defect_share * count) if classes else 0
        tile = np.array([self._tiling.height, self._tiling.width])
        most = np.array(self._pictures.images.shape[2:]) - tile
        corners = []
        for place in range(count):
            if place < at_defects:
                blobs = classes[generator.integers(len(classes))]
                pixels = blobs[generator.integers(len(blobs))]
                corner = pixels[generator.integers(len(pixels))] - generator.integers(tile)
            else:
                corner = generator.integers(most + 1)
            top, left = np.clip(corner, 0, most).tolist()
            corners.append((top, left))
        return corners


def _blobs_by_class(pictures: ImageSet, index: int) -> list[list[Pixels]]:
    """Pixels of each blob (8-connected) of each class that a picture shows."""
    return [_blobs(mask) for mask in pictures.masks(index) if mask.any()]


def _blobs(mask: NDArray[np.bool_]) -> list[Pixels]:
    count, numbered, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = []
    for number in range(1, count):
        left, top, width, height = (int(value) for value in stats[number][:4])
        within = np.argwhere(numbered[top : top + height, left : left + width] == number)
        found.append(within[:: -(-len(within) // _MOST_PIXELS)] + np.array([top, left]))
    return found
