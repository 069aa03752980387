"""Golden frames of a bundle, with the tolerance for each precision."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np

from bundle import Golden, Image, InputSpec, Precision, Tolerance, preprocess, resize
from bundle.golden import Infer
from synthetic.tiles import CLASSES, draw_tile

SEED = 1913
"""Seed of the drawn parts; no training set uses it."""

CANDIDATES = 24
"""Parts drawn to choose the golden frames from."""

TOLERANCES: Mapping[Precision, Tolerance] = MappingProxyType(
    {
        # Another order of summation gives 1e-6. TF32, which a GPU may use, rounds as float16 does, but sums in float32.
        "fp32": Tolerance(score=0.01, mask=4),
        # float16 against float32: 0.008 and 4. Engines sum in widths of their own.
        "fp16": Tolerance(score=0.02, mask=8),
        # The same INT8 layers with the rest in float16 instead of float32, which flips ties of the rounding as another
        # engine does: 0.034 and 17.
        "int8": Tolerance(score=0.07, mask=34),
    }
)
"""Largest difference of an engine's outputs from a bundle's golden outputs, by precision.

Measured on the network of the demo (width 32, pooling 4) with onnxruntime on the CPU, 48 drawn and 60 test frames.
"""

_TINT = np.array([1.0, 0.9, 0.75])  # R, G, B: so that exchanged channels show


def draw_frame(spec: InputSpec, index: int, kind: str | None) -> Image:
    """Draw part number `index` as a frame of a camera for this input: large enough for its crop, grey or colour.

    uint8 [H, W], or [H, W, 3] RGB where the network reads colour.
    """
    frame = draw_tile(SEED, index, kind).image
    if spec.crop is not None:
        frame = resize(frame, spec.crop.y + spec.crop.height, spec.crop.x + spec.crop.width)
    if spec.channels == 1:
        return frame
    tinted: Image = np.rint(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB) * _TINT).astype(np.uint8)
    return tinted


def draw_inputs(spec: InputSpec, count: int) -> Image:
    """Preprocessed drawn frames, uint8 [count, C, H, W]: good parts and every kind of defect in turn."""
    return np.stack([preprocess(draw_frame(spec, index, _kind(index)), spec) for index in range(count)])


def draw_golden(spec: InputSpec, infer: Infer) -> Golden:
    """Choose golden frames among drawn ones, with the outputs of `infer`.

    The good part with the smallest score, then the defective parts with the two largest: an engine with empty or
    constant outputs is detected.
    """
    frames = [draw_frame(spec, index, _kind(index)) for index in range(CANDIDATES)]
    peaks = answered(frames, spec, infer).scores.max(axis=1)
    ranked = sorted(range(CANDIDATES), key=lambda index: float(peaks[index]))
    good = [index for index in ranked if _kind(index) is None]
    defective = [index for index in ranked if _kind(index) is not None]
    return answered([frames[index] for index in (good[0], defective[-1], defective[-2])], spec, infer)


def answered(frames: Sequence[Image], spec: InputSpec, infer: Infer) -> Golden:
    """Golden frames with the outputs of `infer`, computed one by one as in the later check."""
    answers = [infer(preprocess(frame, spec)[np.newaxis]) for frame in frames]
    scores, masks = (np.concatenate([answer[place] for answer in answers]) for place in (0, 1))
    return Golden(tuple(frames), scores, masks)


def _kind(index: int) -> str | None:
    return (None, *CLASSES)[index % (1 + len(CLASSES))]
