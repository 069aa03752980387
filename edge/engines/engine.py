"""The engine contract: frames in, scores and masks out, with checked shapes.

With tiles in the bundle the contract is the same: whole pictures in, masks of whole pictures out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import tee

import numpy as np

from bundle import Image, Manifest, TileGrid, preprocess
from bundle.tiling import Judged
from bundle.tiling import Outputs as Outputs
from edge.errors import EngineError

Pending = Callable[[], Outputs]
"""A running batch; called once, it waits for the outputs."""


class Engine(ABC):
    """A loaded network of one bundle. Used by one thread at a time."""

    slots = 1
    """Number of batches that may run at a time."""

    def __init__(self, manifest: Manifest, description: str) -> None:
        self.manifest = manifest
        self._grid, self._cells = manifest.tile_grid, manifest.network_masks
        self.tolerance = manifest.tolerances[manifest.precision]
        """Largest difference from the golden outputs."""
        self.coarser = False
        """Whether layers are computed with fewer bits than the bundle's graph says."""
        self.description = description
        """Name of engine, device and precision, for the log."""

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Start a batch of camera frames, uint8 [H, W] or [H, W, 3] RGB, each of any size.

        The frames are read before this returns. Batches finish in the order of their start; the outputs belong to the
        caller. Raises FrameError as `preprocess`, and EngineError; the returned function raises EngineError.
        """
        made = [preprocess(frame, self.manifest.input) for frame in frames]
        inputs = made[0][np.newaxis] if len(made) == 1 else np.stack(made)
        return lambda: self.infer(inputs)

    def infer(self, inputs: Image) -> Outputs:
        """Run preprocessed frames, uint8 [N, C, H, W], through the network.

        The outputs belong to the caller. Raises EngineError if the network fails or its outputs have another shape.
        """
        spec = self.manifest.input
        expected = (len(inputs), spec.channels, spec.height, spec.width)
        if inputs.shape != expected or inputs.dtype != np.uint8 or not len(inputs):
            raise EngineError(f"{self.description}: found input {inputs.dtype} {inputs.shape}, expected {expected}")
        if self._grid is None:
            return self._checked(self._infer(inputs), len(inputs))
        return self._grid.infer(inputs, self.infer_tiles, self._judged(inputs, self._grid))

    def infer_tiles(self, batches: Iterable[Image]) -> Iterator[Outputs]:
        """Run batches of tiles, uint8 [B, C, H, W], in order; yields the outputs of each. Raises as `infer`."""
        batches, counted = tee(batches)
        return map(self._checked, self._infer_batches(batches), map(len, counted))

    def _checked(self, outputs: Outputs, count: int) -> Outputs:
        (scores, masks), classes, cells = outputs, len(self.manifest.classes), self._cells
        shapes = (count, classes), (count, classes, cells.height, cells.width)
        if (scores.shape, masks.shape) != shapes or masks.dtype != np.uint8:
            raise EngineError(
                f"{self.description}: found outputs {scores.shape} and {masks.dtype} {masks.shape}, "
                f"expected {shapes[0]} and uint8 {shapes[1]}; export the bundle again"
            )
        return np.minimum(scores, 1), masks  # the last bit of onnxruntime's sigmoid may be above

    @abstractmethod
    def _infer(self, inputs: Image) -> Outputs:
        """Run the network on frames, or on tiles of one; the caller checks the shapes of inputs and outputs."""

    def _judged(self, _inputs: Image, _grid: TileGrid) -> Judged | None:
        """Choose the tiles of preprocessed frames that the network sees; None for all."""
        return None

    def _infer_batches(self, batches: Iterable[Image]) -> Iterator[Outputs]:
        """Run batches of tiles in order."""
        return map(self._infer, batches)

    def close(self) -> None:  # noqa: B027, most engines hold only memory
        """Free the engine's resources; may be called twice."""
