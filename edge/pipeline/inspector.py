"""Inspection of a part: preprocessing, inference and decision, with the time of each stage."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, Decision, FrameError, Image, InputSpec, MadeFrom, Manifest, Verdict, mean_odds
from edge.cameras.camera import Clock
from edge.engines.engine import Engine, Pending
from edge.part import Outcome, Part, View
from edge.pipeline.ignore_region import IgnoreRegion

log = logging.getLogger(__name__)

ASPECT_TOLERANCE = 0.02
"""Relative difference of the sides' ratio that is rounding of the sizes."""


@dataclass(frozen=True)
class ViewGeometry:
    """Camera, ignore region and scale of one view."""

    camera: int = 0
    """Number of its camera, whose exposures of a part the bundle may judge together."""
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
        """geometries: one per view; empty without any, then each view is judged by itself."""
        self.bundle = bundle
        self.engine = engine
        self._unsure_margin = unsure_margin
        self._clock = clock
        self._geometries = geometries
        self._remarked: set[int] = set()

    def warm_up(self, views: int, times: int = 3) -> None:
        """Run a golden frame in batches of `views`, so that the first part is as fast as the others."""
        frames = [self.bundle.golden.frames[0]] * views
        for _ in range(times):
            self.engine.begin(frames)()

    def begin(self, part: Part) -> Callable[[], Outcome]:
        """Start the inspection of a part whose frames are complete; the returned function waits for the outcome.

        The frames of all views form one batch; the verdict is the worst of the views. Exposures of one camera have the
        scores that they have together, if the bundle says so (`Manifest.exposures`). Masks, defects and the times of
        the stages are stored in the part. Both calls raise FrameError or EngineError.
        """
        part.bundle_id = self.bundle.id
        frames = [view.frame.pixels for view in part.views if view.frame is not None]
        if len(frames) != len(part.views) or not frames:
            raise FrameError(f"part {part.number}: found {len(frames)} frames, expected one of each view")
        for number, view in enumerate(part.views):
            self._check_size(view.camera, frames[number].shape)
            self._remark(number, view.camera, frames[number].shape)
        pending = self.engine.begin(frames)
        part.stamps["prepared"] = self._clock()
        return partial(self._finish, part, [frame.shape for frame in frames], pending)

    def _check_size(self, name: str, shape: tuple[int, ...]) -> None:
        try:
            self.bundle.check_size(shape)
        except FrameError as error:
            raise FrameError(f"camera {name}: {error}") from None

    def _remark(self, number: int, name: str, shape: tuple[int, ...]) -> None:
        """Log once for each camera how its frames are changed for the network."""
        camera = self._geometries[number].camera if self._geometries else number
        if camera in self._remarked:
            return
        for remark in remarks(shape, self.bundle.manifest.input):
            self._remarked.add(camera)
            log.warning("camera %s: %s", name, remark)

    def _finish(self, part: Part, shapes: Sequence[tuple[int, ...]], pending: Pending) -> Outcome:
        scores, masks = pending()
        part.stamps["inferred"] = self._clock()
        seen = [
            self._without_ignored(number, *one) for number, one in enumerate(zip(scores, masks, shapes, strict=True))
        ]
        judged = self._judged_together([scores for scores, _ in seen])
        decisions = [
            self._decide(view, number, shapes[number], judged[number], seen[number][1])
            for number, view in enumerate(part.views)
        ]
        part.stamps["decided"] = self._clock()
        return worst(decisions)

    def _without_ignored(
        self, number: int, scores: NDArray[np.float32], masks: Image, shape: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], Image]:
        ignore = self._geometries[number].ignore if self._geometries else None
        return (scores, masks) if ignore is None else ignore.apply(scores, masks, shape)

    def _judged_together(self, scores: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Scores of the views, [C] each, by the bundle's rule for the exposures of a camera."""
        if self.bundle.manifest.exposures == "worst" or not self._geometries:
            return scores
        cameras = [geometry.camera for geometry in self._geometries]
        together = {
            camera: mean_odds(np.stack([one for one, of in zip(scores, cameras, strict=True) if of == camera]))
            for camera in set(cameras)
        }
        return [together[camera] for camera in cameras]

    def _decide(
        self, view: View, number: int, shape: tuple[int, ...], scores: NDArray[np.float32], masks: Image
    ) -> Decision:
        geometry = self._geometries[number] if self._geometries else ViewGeometry()
        if geometry.mm_per_px is not None:
            view.mm2_per_px = self.bundle.input_pixel_area(shape) * geometry.mm_per_px**2
        decision = self.bundle.decide(scores, masks, shape, self._unsure_margin)
        view.masks, view.defects = masks, decision.defects
        return decision


def remarks(shape: tuple[int, ...], spec: InputSpec) -> list[str]:
    """Say how frames of this shape are changed for the network, beyond their size."""
    height, width = (spec.crop.height, spec.crop.width) if spec.crop else shape[:2]
    found = []
    if spec.tiles is None and abs(width * spec.height / (height * spec.width) - 1) > ASPECT_TOLERANCE:
        found.append(
            f"found {width}x{height}, which is squashed to {spec.width}x{spec.height}; unless the training pictures "
            "were, set another size of the camera, or export with a crop"
        )
    if len(shape) == 3 and spec.channels == 1:
        found.append("found RGB, which the bundle turns into grey; unless the training pictures were, use another")
    return found


def too_wide(margin: float, manifest: Manifest) -> str | None:
    """Say which classes an unsure_margin leaves no score for OK; None where there is none."""
    names = [f"{name} ({limit.score:g})" for name, limit in manifest.thresholds.items() if 0 < limit.score <= margin]
    if not names:
        return None
    return (
        f"unsure_margin: found {margin:g}, expected less than the score threshold of every class; at that of "
        f"{', '.join(names)} any score makes a part UNSURE and none is OK; set a smaller one (`train unsure`)"
    )


def exposures_remark(manifest: Manifest, exposures: Sequence[int]) -> str | None:
    """Say that cameras take another number of exposures than a bundle that judges them together was chosen for.

    exposures: of each camera. None where all is well.
    """
    if manifest.exposures == "worst":
        return None
    most = _most_exposures(manifest.made_from)
    odd = [count for count in exposures if count == 1 or (most is not None and count > most)]
    if not odd:
        return None
    learnt = "" if most is None else f", and at most {most}, as the parts had that its thresholds were chosen on"
    return (
        f"found a camera with exposures = {odd[0]} and a bundle whose thresholds are for exposures judged together "
        f"({manifest.exposures}), expected 2 or more{learnt}: the thresholds are not for such parts, which may escape "
        "or be rejected"
    )


def _most_exposures(origin: MadeFrom) -> int | None:
    """Most pictures of a part that the thresholds were chosen on; None if the bundle does not say."""
    for source in (origin.comparison.get("thresholds"), origin.metrics.get("held_out"), origin.metrics.get("val")):
        parts = source.get("parts") if isinstance(source, dict) else None
        if isinstance(parts, dict) and isinstance(parts.get("most_views"), int):
            return int(parts["most_views"])
    return None


def expected_unsure(margin: float, manifest: Manifest) -> str:
    """The share of UNSURE that the bundle's own figures predict, in words, for the next wider margin they hold."""
    compared, metrics = manifest.made_from.comparison, manifest.made_from.metrics
    for source in (compared.get("thresholds"), metrics.get("held_out"), metrics.get("val")):
        points = source.get("unsure") if isinstance(source, dict) else None
        for point in points or ():
            if point["margin"] >= margin and point["cases"]:
                sent, cases = point["sent"], point["cases"]
                return f"{sent} of {cases} parts of its training ({sent / cases:.1%}) are UNSURE at {point['margin']:g}"
    return "the bundle does not say how many parts will be UNSURE; see `train unsure`"


def worst(decisions: Sequence[Decision]) -> Outcome:
    """Combine the decisions on the views of a part: NG before UNSURE before OK, the highest score first."""
    verdict = max((decision.verdict for decision in decisions), key=(Verdict.OK, Verdict.UNSURE, Verdict.NG).index)
    defects = [defect for decision in decisions if decision.verdict is verdict for defect in decision.defects]
    return Outcome(verdict, tuple(sorted(defects, key=lambda defect: -defect.score)))
