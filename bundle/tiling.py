"""Tiles: a picture judged at native resolution in overlapping pieces, and the stitching of their outputs.

The only such code; training, export and the station all call it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bundle.frozen_model import FrozenModel

Outputs = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""scores float32 [N, C] and masks uint8 [N, C, h, w]."""
Judged = NDArray[np.bool_]
"""Tiles of each picture that the network sees, bool [N, tiles]."""
InferBatches = Callable[[Iterable[NDArray[np.uint8]]], Iterator[Outputs]]
"""Runs batches of tiles, uint8 [B, channels, H, W], through a network; yields the outputs of each in order."""

MOST_PIXELS = 8192 * 8192
"""Of a network's input, and of a picture in tiles."""


MOST_TILES = 20_000
"""Of a picture; 8192 x 8192 pixels in tiles of 128 with an overlap of 32 are 7,225."""


def tile_count(length: int, tile: int, overlap: int) -> int:
    """Return the fewest tiles that cover `length` pixels with at least this overlap."""
    return 1 if tile == length else -(-(length - overlap) // (tile - overlap))


class Tiling(FrozenModel):
    """Size and overlap of the tiles of a picture, in pixels of the picture."""

    height: int = Field(default=512, ge=8, le=8192)
    width: int = Field(default=512, ge=8, le=8192)
    overlap: int = Field(default=64, ge=0, le=4096)
    """Smallest overlap of neighbours; at least the context that the network needs around a defect's pixels, twice."""
    batch: int = Field(default=4, ge=1, le=256)
    """Tiles in one run of the network, which bounds its memory."""

    def problem(self, height: int, width: int, cell: tuple[int, int] = (1, 1)) -> str | None:
        """Say why these tiles do not fit a picture of this size, or None if they do.

        cell: height and width of a mask cell in pixels.
        """
        sides = ("height", self.height, height, cell[0]), ("width", self.width, width, cell[1])
        for side, tile, length, step in sides:
            if tile > length:
                return f"tiles.{side}: found {tile}, expected at most the picture's {side} {length}"
            if 2 * self.overlap > tile and tile < length:
                return f"tiles.overlap: found {self.overlap}, expected at most half of tiles.{side} {tile}"
            if tile % step or self.overlap % step:
                return (
                    f"tiles: found {side} {tile} with overlap {self.overlap}, expected multiples of {step}, the pixels "
                    "of a mask cell"
                )
        tiles = tile_count(height, self.height, self.overlap) * tile_count(width, self.width, self.overlap)
        if tiles > MOST_TILES:
            return f"tiles: found {tiles} tiles a picture, expected at most {MOST_TILES}; make them larger"
        if (pixels := self.batch * self.height * self.width) > MOST_PIXELS:
            return f"tiles.batch: found {self.batch}, {pixels} pixels at a time, expected at most {MOST_PIXELS}"
        return None


@dataclass(frozen=True)
class TileAxis:
    """Tiles along one axis of a picture, with the cells of the stitched mask that each contributes."""

    tile: int
    """Length of a tile in pixels."""
    cell: int
    """Pixels of a mask cell."""
    starts: tuple[int, ...]
    """First pixel of each tile."""
    bounds: tuple[int, ...]
    """First cell of each tile's own part, then the number of cells."""

    @classmethod
    def of(cls, length: int, tile: int, overlap: int, cell: int) -> "TileAxis":
        """Spread the fewest tiles evenly over `length` pixels; neighbours meet in the middle of their overlap."""
        count = tile_count(length, tile, overlap)
        free = length - tile
        starts = [free * index // max(count - 1, 1) // cell * cell for index in range(count)]
        middles = [(before + tile + after) // 2 // cell for before, after in pairwise(starts)]
        return cls(tile, cell, tuple(starts), (0, *middles, length // cell))

    def pixels(self, index: int) -> slice:
        """Pixels of tile `index`."""
        return slice(self.starts[index], self.starts[index] + self.tile)

    def own(self, index: int) -> slice:
        """Cells of the whole mask that come from tile `index`."""
        return slice(self.bounds[index], self.bounds[index + 1])

    def inner(self, index: int) -> slice:
        """The same cells, counted from the tile's own first cell."""
        first = self.starts[index] // self.cell
        return slice(self.bounds[index] - first, self.bounds[index + 1] - first)

    def touched(self, cells: int) -> list[slice]:
        """Of `cells` equal parts of the axis, those that each tile touches, its overlap included."""
        length = self.bounds[-1] * self.cell
        return [slice(start * cells // length, -(-(start + self.tile) * cells // length)) for start in self.starts]


@dataclass(frozen=True)
class TileGrid:
    """Tiles of a picture, row by row."""

    rows: TileAxis
    columns: TileAxis
    batch: int

    @classmethod
    def of(cls, tiling: Tiling, picture: tuple[int, int], cells: tuple[int, int]) -> "TileGrid":
        """picture: height and width in pixels; cells: height and width of its mask."""
        tiles = (tiling.height, tiling.width)
        rows, columns = (
            TileAxis.of(length, tile, tiling.overlap, length // count)
            for length, tile, count in zip(picture, tiles, cells, strict=True)
        )
        return cls(rows, columns, tiling.batch)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Row and column of each tile."""
        return [(row, column) for row in range(len(self.rows.starts)) for column in range(len(self.columns.starts))]

    def tile(self, picture: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
        """View of one tile of a picture, [..., H, W]."""
        return picture[..., self.rows.pixels(row), self.columns.pixels(column)]

    def highest(self, coarse: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Highest level within each tile, its overlap included, of masks of the whole picture of any size.

        coarse: uint8 [C, h, w]. Returns uint8 [tiles].
        """
        levels = coarse.max(axis=0)
        rows, columns = self.rows.touched(len(levels)), self.columns.touched(levels.shape[1])
        return np.array([levels[rows[row], columns[column]].max() for row, column in self.places], np.uint8)

    def batches(self, pictures: NDArray[np.uint8], judged: Judged | None = None) -> Iterator[NDArray[np.uint8]]:
        """Tiles of pictures, uint8 [N, channels, H, W], in their order, at most `batch` at a time.

        judged: the tiles to judge, by default all.
        """
        places = self._of_pictures(len(pictures), judged)
        for start in range(0, len(places), self.batch):
            some = places[start : start + self.batch]
            yield np.stack([self.tile(pictures[number], row, column) for number, row, column in some])

    def infer(self, pictures: NDArray[np.uint8], infer_batches: InferBatches, judged: Judged | None = None) -> Outputs:
        """Outputs of whole pictures, uint8 [N, channels, H, W], from a network that sees tiles; see `stitch`."""
        return self.stitch(len(pictures), infer_batches(self.batches(pictures, judged)), judged)

    def stitch(self, count: int, of_batches: Iterable[Outputs], judged: Judged | None = None) -> Outputs:
        """Outputs of `count` whole pictures from those of their tiles, in batches of any size.

        judged: the tiles whose outputs follow, by default all; masks are 0 in the others.
        Each cell of a mask comes from the tile in which it lies farthest from the edge, so that a defect across a seam
        is one blob. The score of a class is the highest of the tiles; where a tile's highest cell belongs to a
        neighbour, the tile counts with the highest cell of its own part, to a level of 255.
        """
        of_tiles = (each for outputs in of_batches for each in zip(*outputs, strict=True))
        stitched: Outputs | None = None
        for (number, row, column), (scores, cells) in zip(self._of_pictures(count, judged), of_tiles, strict=True):
            if stitched is None:
                size = count, len(scores)
                area = self.rows.bounds[-1], self.columns.bounds[-1]
                stitched = np.zeros(size, np.float32), np.zeros((*size, *area), np.uint8)
            own = cells[:, self.rows.inner(row), self.columns.inner(column)]
            stitched[1][number][:, self.rows.own(row), self.columns.own(column)] = own
            np.maximum(stitched[0][number], _own_scores(scores, cells, own), out=stitched[0][number])
        if stitched is None:
            raise ValueError("found no tile of a picture, expected at least one")
        return stitched

    def _of_pictures(self, count: int, judged: Judged | None) -> list[tuple[int, int, int]]:
        """Picture, row and column of each tile that is judged."""
        every = [(number, *place) for number in range(count) for place in self.places]
        return every if judged is None else [every[index] for index in np.flatnonzero(judged)]


def _own_scores(scores: NDArray[np.float32], masks: NDArray[np.uint8], own: NDArray[np.uint8]) -> NDArray[np.float32]:
    highest, whole = own.max(axis=(1, 2)), masks.max(axis=(1, 2))
    kept = (highest == whole) | ~np.isfinite(scores)  # a faulty engine's NaN must reach the decision
    return np.where(kept, scores, highest / np.float32(255)).astype(np.float32)
