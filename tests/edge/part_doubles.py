"""Parts as they leave the report thread, made by hand."""

from collections.abc import Sequence

import numpy as np

from bundle import Defect, Image, Manifest, Verdict
from edge.cameras.camera import Frame
from edge.part import Outcome, Part, View
from tests.conftest import tiny_outputs

DARK = Defect(1, "Dark", 0.97, 16.0, (2, 4, 4, 4))


def judged(
    number: int,
    verdict: Verdict,
    frames: Sequence[Image | None],
    manifest: Manifest,
    defects: tuple[Defect, ...] = (),
    fault: str = "",
) -> Part:
    """Make a settled part with one view per frame; its masks are the tiny model's where the frame has its size."""
    views = tuple(_view(camera, pixels, manifest, defects) for camera, pixels in enumerate(frames))
    part = Part(number, number + 100, number * 10, 0.0, 1.0, views, bundle_id=manifest.id)
    part.settle(Outcome(verdict, defects, fault))
    part.told = verdict
    return part


def _view(camera: int, pixels: Image | None, manifest: Manifest, defects: tuple[Defect, ...]) -> View:
    name = f"camera{camera}"
    if pixels is None:
        return View(name, 1)
    frame = Frame(pixels, 1, 0.0, f"{name}#1")
    size = manifest.input.height, manifest.input.width
    masks = tiny_outputs(np.resize(pixels, size)[np.newaxis, np.newaxis])[1][0]
    return View(name, 1, frame, np.asarray(masks, np.uint8), defects)
