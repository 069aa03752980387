"""Signals for drift monitoring: brightness, sharpness, scores and verdict of one part."""

from dataclasses import dataclass

import cv2
import numpy as np

from bundle import Image, Manifest, Verdict, cropped
from edge.part import Part

INSPECTED = (Verdict.OK, Verdict.NG, Verdict.UNSURE)
"""Verdicts on the part; TIMEOUT and FAULT are events of the station."""
SAMPLED = 64
"""Brightness is the mean of about this many rows and columns at most."""
REJECTS = "rejects"
PATCH_PX = 192
"""Side of the square in the middle on which sharpness is measured; its cost is independent of the frame's size."""


@dataclass(frozen=True)
class Signals:
    """Signals of one part."""

    values: dict[str, float]
    """By name: `brightness CAMERA` in grey levels, `sharpness CAMERA` as the natural logarithm of the variance of the
    Laplacian, `rejects` as 0 or 1."""
    scores: dict[str, float]
    """Highest mask probability by class, 0 to 1, over all views."""


def measure(part: Part, manifest: Manifest) -> Signals:
    """Measure a part that was inspected by the bundle of this manifest; raises ValueError if it was not inspected."""
    if part.outcome is None or part.outcome.verdict not in INSPECTED:
        raise ValueError(f"part {part.number} has not been inspected")
    values = {REJECTS: float(part.outcome.verdict is not Verdict.OK)}
    scores = np.zeros(len(manifest.classes))
    for view in part.views:
        if view.frame is not None and view.masks is not None:
            seen = cropped(view.frame.pixels, manifest.input.crop)
            values[f"brightness {view.camera}"] = brightness(seen)
            values[f"sharpness {view.camera}"] = sharpness(seen)
            scores = np.maximum(scores, view.masks.max(axis=(1, 2)) / 255)
    return Signals(values, dict(zip(manifest.classes, scores.tolist(), strict=True)))


def brightness(image: Image) -> float:
    """Mean level, 0 to 255, of subsampled pixels of an image, uint8 [H, W] or [H, W, 3]."""
    rows, columns = (max(1, -(-side // SAMPLED)) for side in image.shape[:2])
    return float(image[::rows, ::columns].mean())


def sharpness(image: Image) -> float:
    """Logarithm of the variance of the Laplacian in the middle of an image, uint8 [H, W] or [H, W, 3] (green channel).

    The variance of the Laplacian as a measure of focus: Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy", ICPR 2000. The logarithm is of 1 + variance, which a uniform image has too.
    """
    top, left = (max(0, (side - PATCH_PX) // 2) for side in image.shape[:2])
    patch = image[top : top + PATCH_PX, left : left + PATCH_PX]
    grey = patch if patch.ndim == 2 else np.ascontiguousarray(patch[:, :, 1])
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(np.log1p(deviation[0, 0] ** 2))
