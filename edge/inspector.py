"""From one frame to a decision, stage by stage."""

import numpy as np

from bundle import Bundle, FrameError
from edge.camera import Clock
from edge.engine import Engine
from edge.part import Outcome, Part


class Inspector:
    """A bundle on its engine. Used by one thread."""

    def __init__(self, bundle: Bundle, engine: Engine, clock: Clock, unsure_margin: float = 0.0) -> None:
        self.bundle = bundle
        self.engine = engine
        self.unsure_margin = unsure_margin
        self._clock = clock

    def warm_up(self, frames: int = 3) -> None:
        """Run some golden frames, so that the first part is not slower than the others."""
        for _ in range(frames):
            self.engine.infer(self.bundle.prepare(self.bundle.golden.frames[0])[np.newaxis])

    def inspect(self, part: Part) -> Outcome:
        """Decide on a part whose frame is there, noting its masks with the time at which each stage was done.

        Raises FrameError or EngineError.
        """
        if part.frame is None:
            raise FrameError(f"part {part.number}: found no frame, expected one")
        pixels = part.frame.pixels
        inputs = self.bundle.prepare(pixels)[np.newaxis]
        part.stamps["prepared"] = self._clock()
        scores, masks = self.engine.infer(inputs)
        part.stamps["inferred"] = self._clock()
        decision = self.bundle.decide(scores[0], masks[0], pixels.shape, self.unsure_margin)
        part.stamps["decided"] = self._clock()
        part.masks = masks[0]
        return Outcome(decision.verdict, decision.defects)
