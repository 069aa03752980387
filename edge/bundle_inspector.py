"""Python interface: judge images with a bundle on an engine, without a line."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, Decision, Geometry, Image, Verdict, check_frame, decide, load_bundle, read_image
from bundle.outlines import Contour, cells_of, colour_of, draw_outlines, enlarged, outlines_of
from edge.config.defaults import MOST_THREADS
from edge.engines.engine import Engine, Pending
from edge.engines.registry import DEFAULT_ENGINE, open_engine

LINE_SHARE = 320
"""Longer side of a picture with lines of one pixel; lines grow in proportion."""
OUTLINE_PX = 3
"""Widest outline; in larger pictures the box stands off, so that neither covers a small defect."""
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, eq=False)
class LocatedDefect:
    """One defect in the frame."""

    class_name: str
    class_index: int
    score: float
    """Probability of the class over the whole frame, 0 to 1."""
    box: tuple[int, int, int, int]
    """x, y, width, height in pixels of the frame."""
    area_px: float
    """In pixels of the frame; 0 if the class was found by its score alone."""
    area_mm2: float | None
    """None without a scale."""
    mask: NDArray[np.bool_] = field(repr=False)
    """bool [H, W], the shape of the frame."""

    @cached_property
    def outlines(self) -> list[Contour]:
        """Outer contours of the mask, int32 [K, 2] each: x and y in pixels of the frame."""
        return outlines_of(self.mask)


@dataclass(frozen=True, eq=False)
class Inspection:
    """The result of one image."""

    image: Image = field(repr=False)
    """The inspected image, not a copy."""
    verdict: Verdict
    """OK, NG, or UNSURE with an `unsure_margin`."""
    defects: tuple[LocatedDefect, ...]
    """The strongest class and largest defect first."""
    scores: dict[str, float]
    """Probability of each class, 0 to 1."""

    def draw(self) -> Image:
        """Return a copy of the image, uint8 [H, W, 3] RGB, with outline, box, class and score of each defect."""
        grey = self.image.ndim == 2
        picture = np.array(cv2.cvtColor(self.image, cv2.COLOR_GRAY2RGB) if grey else self.image, np.uint8, order="C")
        thick = max(1, max(picture.shape[:2]) // LINE_SHARE)
        for defect in self.defects:
            colour = colour_of(defect.class_index)
            draw_outlines(picture, defect.outlines, colour, min(thick, OUTLINE_PX))
            (x, y, width, height), away = defect.box, 2 * thick if thick > OUTLINE_PX else 0
            cv2.rectangle(picture, (x - away, y - away), (x + width + away, y + height + away), colour, thick)
            text, size = f"{defect.class_name} {defect.score:.2f}", 0.4 * thick
            (_, rise), _ = cv2.getTextSize(text, FONT, size, thick)
            cv2.putText(picture, text, (x, max(y - away - 2 * thick, rise)), FONT, size, colour, thick, cv2.LINE_AA)
        return picture


class BundleInspector:
    """A bundle on an open engine. Used by one thread; a context manager."""

    def __init__(self, bundle: Bundle, engine: Engine, unsure_margin: float = 0.0, mm_per_px: float | None = None):
        self.bundle = bundle
        self.engine = engine
        self._unsure_margin = unsure_margin
        self._mm_per_px = mm_per_px

    @classmethod
    def open(
        cls,
        folder: Path | str,
        engine: str = DEFAULT_ENGINE,
        *,
        threads: int | None = None,
        unsure_margin: float = 0.0,
        mm_per_px: float | None = None,
    ) -> "BundleInspector":
        """Load a bundle and open it on an engine; both are verified with the bundle's golden frames.

        engine: a name of `edge.engines.registry.ENGINES`. threads: CPU threads; None leaves the choice to the engine.
        unsure_margin: a class with a score this far below its threshold makes the verdict UNSURE. mm_per_px:
        millimetres on the part per pixel of the image, for areas in mm2.
        Raises BundleError or EngineError, and ValueError for a number out of its range.
        """
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise ValueError(f"threads: found {threads}, expected 1 to {MOST_THREADS}; or None for the engine's choice")
        if not 0 <= unsure_margin <= 1:
            raise ValueError(f"unsure_margin: found {unsure_margin}, expected 0 to 1, a difference of scores")
        if mm_per_px is not None and not 0 < mm_per_px < inf:
            raise ValueError(f"mm_per_px: found {mm_per_px}, expected more than 0 and finite; or None without a scale")
        bundle = load_bundle(folder)
        return cls(bundle, open_engine(engine, bundle, threads), unsure_margin, mm_per_px)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the defect classes, in channel order."""
        return tuple(self.bundle.manifest.classes)

    def inspect(self, image: Image | Path | str) -> Inspection:
        """Inspect one image: an array, uint8 [H, W] grey or [H, W, 3] RGB, or the path of an image file.

        The image is resized to the network's input; one much smaller than the bundle's training pictures is refused
        (`check_size` in bundle/preprocess.py). With tiles it must have the input's size.
        Raises FrameError or EngineError.
        """
        (inspection,) = self.inspect_all([image])
        return inspection

    def inspect_all(self, images: Iterable[Image | Path | str]) -> Iterator[Inspection]:
        """Inspect images in order, with as many running at a time as the engine supports; see `inspect`.

        Raises TypeError for one path in the place of several.
        """
        if isinstance(images, (str, Path)):
            raise TypeError(
                f"inspect_all: found the path {images}, expected several images or paths; use inspect for one, and "
                "Path(folder).iterdir() for a folder"
            )
        running: deque[tuple[Image, Pending]] = deque()
        for image in images:
            frame = read_image(Path(image)) if isinstance(image, (str, Path)) else image
            running.append((frame, self._begun(frame)))
            if len(running) == self.engine.slots:
                yield self._finished(*running.popleft())
        while running:
            yield self._finished(*running.popleft())

    def class_mask(self, image: Image, name: str) -> NDArray[np.bool_]:
        """Pixels of a class in one image, bool [H, W]; empty where the class is not found.

        With a bundle that judges exposures together the score of one of them decides nothing, only its mask.
        """
        scores, masks = (output[0] for output in self._begun(image)())
        thresholds = self.bundle.manifest.thresholds
        if self.bundle.manifest.exposures != "worst":
            thresholds = {of: limit.model_copy(update={"score": 0.0}) for of, limit in thresholds.items()}
        decision = decide(scores, masks, thresholds, Geometry.of(self.bundle.manifest.input, *image.shape[:2]))
        mask = np.zeros(image.shape[:2], np.bool_)
        for defect in self._located(decision, masks, image):
            if defect.class_name == name:
                mask |= defect.mask
        return mask

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()

    def __enter__(self) -> "BundleInspector":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begun(self, frame: Image) -> Pending:
        check_frame(frame)
        self.bundle.check_size(frame.shape)
        return self.engine.begin([frame])

    def _finished(self, frame: Image, pending: Pending) -> Inspection:
        scores, masks = (output[0] for output in pending())
        decision = self.bundle.decide(scores, masks, frame.shape, self._unsure_margin)
        by_class = {name: float(score) for name, score in zip(self.classes, scores, strict=True)}
        return Inspection(frame, decision.verdict, tuple(self._located(decision, masks, frame)), by_class)

    def _located(self, decision: Decision, masks: Image, frame: Image) -> Iterator[LocatedDefect]:
        manifest = self.bundle.manifest
        geometry = Geometry.of(manifest.input, *frame.shape[:2])
        rows = slice(geometry.y, geometry.y + geometry.height)
        columns = slice(geometry.x, geometry.x + geometry.width)
        per_input_px = self.bundle.input_pixel_area(frame.shape)
        cells = cells_of(decision.defects, masks, list(manifest.thresholds.values()), geometry)
        for defect, found in zip(decision.defects, cells, strict=True):
            mask = np.zeros(frame.shape[:2], np.bool_)
            mask[rows, columns] = enlarged(found, geometry.height, geometry.width)
            area_px = defect.area_px * per_input_px
            yield LocatedDefect(
                class_name=defect.class_name,
                class_index=defect.class_index,
                score=defect.score,
                box=defect.box,
                area_px=area_px,
                area_mm2=None if self._mm_per_px is None else area_px * self._mm_per_px**2,
                mask=mask,
            )
