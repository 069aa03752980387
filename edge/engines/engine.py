"""The engine contract: frames in, scores and masks out, with checked shapes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bundle import Image, Manifest, preprocess
from edge.errors import EngineError

Outputs = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""scores float32 [N, C] with masks uint8 [N, C, h, w]."""
Pending = Callable[[], Outputs]
"""A batch under way; called, once, it waits for the outputs."""


class Engine(ABC):
    """One bundle's network, loaded and ready. Used by one thread at a time."""

    slots = 1
    """How many batches may be under way at a time."""

    def __init__(self, manifest: Manifest, description: str) -> None:
        self.manifest = manifest
        self.description = description
        """Which engine on which device, and why, for the log."""

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Start on frames as the cameras gave them, uint8 [H, W] or [H, W, 3] RGB, each of its own size.

        The frames are read before this returns. Batches are done in the order of beginning; the outputs belong to the
        caller. Raises FrameError as `preprocess`; EngineError, as does what is returned.
        """
        made = [preprocess(frame, self.manifest.input) for frame in frames]
        inputs = made[0][np.newaxis] if len(made) == 1 else np.stack(made)
        return lambda: self.infer(inputs)

    def infer(self, inputs: Image) -> Outputs:
        """Run preprocessed frames, uint8 [N, C, H, W], through the network.

        The outputs belong to the caller. Raises EngineError if the network fails or answers in another shape.
        """
        spec, classes, cells = self.manifest.input, len(self.manifest.classes), self.manifest.masks
        expected = (len(inputs), spec.channels, spec.height, spec.width)
        if inputs.shape != expected or inputs.dtype != np.uint8 or not len(inputs):
            raise EngineError(f"{self.description}: found input {inputs.dtype} {inputs.shape}, expected {expected}")
        scores, masks = self._infer(inputs)
        shapes = (len(inputs), classes), (len(inputs), classes, cells.height, cells.width)
        if (scores.shape, masks.shape) != shapes or masks.dtype != np.uint8:
            raise EngineError(
                f"{self.description}: found outputs {scores.shape} and {masks.dtype} {masks.shape}, "
                f"expected {shapes[0]} and uint8 {shapes[1]}; export the bundle again"
            )
        return scores, masks

    @abstractmethod
    def _infer(self, inputs: Image) -> Outputs:
        """Run the network; the shapes of inputs and outputs are checked outside."""

    def close(self) -> None:  # noqa: B027, most engines hold nothing that garbage collection does not free
        """Free what the engine holds."""
