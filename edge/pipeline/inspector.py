"""Inspection of a part: preprocessing, inference and decision, with the time of each stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, Decision, FrameError, Image, Verdict
from edge.cameras.camera import Clock
from edge.engines.engine import Engine, Pending
from edge.part import Outcome, Part, View
from edge.pipeline.ignore_region import IgnoreRegion


@dataclass(frozen=True)
class ViewGeometry:
    """Ignore region and scale of one camera's view."""

    ignore: IgnoreRegion | None = None
    mm_per_px: float | None = None
    """Millimetres on the part per pixel of the frame."""


class Inspector:
    """Bundle on an opened engine. Used by one thread."""

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        clock: Clock,
        unsure_margin: float = 0.0,
        geometries: Sequence[ViewGeometry] = (),
    ) -> None:
        """geometries: one per camera; empty if no camera has an ignore region or a scale."""
        self.bundle = bundle
        self.engine = engine
        self._unsure_margin = unsure_margin
        self._clock = clock
        self._geometries = geometries

    def warm_up(self, cameras: int, times: int = 3) -> None:
        """Run a golden frame in batches of `cameras`, so that the first part is as fast as the others."""
        frames = [self.bundle.golden.frames[0]] * cameras
        for _ in range(times):
            self.engine.begin(frames)()

    def begin(self, part: Part) -> Callable[[], Outcome]:
        """Start the inspection of a part whose frames are complete; the returned function waits for the outcome.

        The frames of all cameras form one batch; the verdict is the worst of the views. Masks, defects and the times of
        the stages are stored in the part. Both calls raise FrameError or EngineError.
        """
        part.bundle_id = self.bundle.id
        frames = [view.frame.pixels for view in part.views if view.frame is not None]
        if len(frames) != len(part.views) or not frames:
            raise FrameError(f"part {part.number}: found {len(frames)} frames, expected one of each camera")
        pending = self.engine.begin(frames)
        part.stamps["prepared"] = self._clock()
        return partial(self._finish, part, [frame.shape for frame in frames], pending)

    def _finish(self, part: Part, shapes: Sequence[tuple[int, ...]], pending: Pending) -> Outcome:
        scores, masks = pending()
        part.stamps["inferred"] = self._clock()
        decisions = [
            self._decide(view, number, shapes[number], scores[number], masks[number])
            for number, view in enumerate(part.views)
        ]
        part.stamps["decided"] = self._clock()
        return worst(decisions)

    def _decide(
        self, view: View, camera: int, shape: tuple[int, ...], scores: NDArray[np.float32], masks: Image
    ) -> Decision:
        geometry = self._geometries[camera] if self._geometries else ViewGeometry()
        if geometry.ignore is not None:
            scores, masks = geometry.ignore.apply(scores, masks, shape)
        if geometry.mm_per_px is not None:
            view.mm2_per_px = self.bundle.input_pixel_area(shape) * geometry.mm_per_px**2
        decision = self.bundle.decide(scores, masks, shape, self._unsure_margin)
        view.masks, view.defects = masks, decision.defects
        return decision


def worst(decisions: Sequence[Decision]) -> Outcome:
    """Combine the decisions on the views of a part: NG before UNSURE before OK, the highest score first."""
    verdict = max((decision.verdict for decision in decisions), key=(Verdict.OK, Verdict.UNSURE, Verdict.NG).index)
    defects = [defect for decision in decisions if decision.verdict is verdict for defect in decision.defects]
    return Outcome(verdict, tuple(sorted(defects, key=lambda defect: -defect.score)))
