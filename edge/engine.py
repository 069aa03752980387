"""What every engine does: frames in, scores and masks out, checked once."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, Image, Manifest
from edge.errors import EngineError

Outputs = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""scores float32 [N, C] with masks uint8 [N, C, h, w]."""


class Engine(ABC):
    """One bundle's network, loaded and ready. Used by one thread."""

    def __init__(self, manifest: Manifest, description: str) -> None:
        self.manifest = manifest
        self.description = description
        """Which engine on which device, and why, for the log."""

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


def open_engine(name: str, bundle: Bundle, threads: int | None = None) -> Engine:
    """Open the engine `name` on a bundle and hold it against the bundle's golden frames.

    threads: for the CPU; None leaves the choice to the engine.
    Raises EngineError if there is no such engine here, GoldenMismatch if it computes something else.
    There is no falling back from one engine to another.
    """
    if name != "onnxruntime":
        raise EngineError(f"engine: found {name!r}, expected 'onnxruntime'; correct the line's configuration")
    from edge.ort import OnnxruntimeEngine

    engine = OnnxruntimeEngine(bundle, threads)
    bundle.check(engine.infer)
    return engine
