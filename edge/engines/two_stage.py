"""Two stages: a small network sees the whole picture first, and only the tiles where it marks something are judged."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bundle import Image, preprocess
from bundle.tiling import Judged, TileGrid
from edge.engines.engine import Engine, Outputs
from edge.engines.processor import ProcessorEngine
from edge.errors import EngineError


class TwoStageEngine(ProcessorEngine):
    """Runs the first stage, then the tiles that it chooses; closes both engines.

    A first stage that fails, or whose scores are no numbers, raises EngineError: the part is rejected.
    """

    def __init__(self, first: Engine, tiles: Engine, level: int) -> None:
        """level: of the first stage's masks, from which on a tile is judged."""
        said = f"first stage {first.manifest.name}, {first.description}, tiles from level {level}"
        super().__init__(tiles.manifest, f"{tiles.description}; {said}")
        self.slots = tiles.slots
        self._first, self._tiles, self._level = first, tiles, level

    def close(self) -> None:
        """Wait for the running batches, then close both engines."""
        super().close()
        self._first.close()
        self._tiles.close()

    def _judged(self, inputs: Image, grid: TileGrid) -> Judged:
        return chosen(tile_levels(self._first, grid, inputs), self._level)

    def _infer(self, inputs: Image) -> Outputs:
        return self._tiles._infer(inputs)

    def _infer_batches(self, batches: Iterable[Image]) -> Iterator[Outputs]:
        return self._tiles._infer_batches(batches)


def tile_levels(first: Engine, grid: TileGrid, pictures: Image) -> NDArray[np.uint8]:
    """Highest level that a first stage marks within each tile, uint8 [N, tiles].

    pictures: uint8 [N, C, H, W], as the tiles are cut from. Raises EngineError if the first stage fails.
    """
    spec = first.manifest.input.model_copy(update={"crop": None})  # the pictures are cropped already
    frames = [picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0) for picture in pictures]
    scores, masks = first.infer(np.stack([preprocess(frame, spec) for frame in frames]))
    if not np.isfinite(scores).all():
        raise EngineError(
            f"first stage {first.manifest.name}: found scores {scores.tolist()}, expected finite numbers; "
            "the engine is faulty"
        )
    return np.stack([grid.highest(each) for each in masks])


def chosen(levels: NDArray[np.uint8], level: int) -> Judged:
    """Tiles to judge by their levels, bool [N, tiles]: from a level on, and in each picture the highest at least.

    So the scores of every picture come from the network on the tiles.
    """
    judged: Judged = levels >= level
    judged[np.arange(len(levels)), levels.argmax(axis=1)] = True
    return judged
