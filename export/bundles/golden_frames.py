"""Golden frames of a bundle, with the tolerance for each precision."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np

from bundle import Golden, Image, InputSpec, Precision, Tolerance, preprocess, resize
from bundle.golden import Infer
from bundle.tiling import TileGrid
from synthetic.tiles import CLASSES, draw_tile

SEED = 1913
"""Seed of the drawn parts; no training set uses it."""

CANDIDATES = 24
"""Parts drawn to choose the golden frames from."""

MOSAIC_PX = (400, 300)
"""Height and width of each part in a picture of many; about the size in which they are drawn."""

DEFECTIVE_EVERY = 3
"""In such a picture, one part in this many has a defect, of every kind in turn."""

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


def draw_frame(spec: InputSpec, index: int, kind: str | None, example: Image | None = None) -> Image:
    """Draw part number `index` as a frame of a camera for this input: large enough for its crop, grey or colour.

    With tiles the frame shows many parts side by side, because nothing is resized.
    example: a good part at the network's input, on which the drawn defect is put; a network that knows good parts
    alone finds any other drawn part far from all, and its outputs would be constant.
    uint8 [H, W], or [H, W, 3] RGB where the network reads colour.
    """
    crop = spec.crop
    size = (spec.height, spec.width) if crop is None else (crop.y + crop.height, crop.x + crop.width)
    if example is not None:
        return _of_example(example, spec, size, index, kind)
    if spec.tiles is not None:
        frame = _draw_mosaic(index, kind, *size)
    else:
        frame = draw_tile(SEED, index, kind).image
        frame = frame if crop is None else resize(frame, *size)
    if spec.channels == 1:
        return frame
    tinted: Image = np.rint(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB) * _TINT).astype(np.uint8)
    return tinted


def draw_inputs(spec: InputSpec, count: int, example: Image | None = None) -> Image:
    """Preprocessed drawn frames, uint8 [count, C, H, W]: good parts and every kind of defect in turn."""
    return np.stack([preprocess(draw_frame(spec, index, _kind(index), example), spec) for index in range(count)])


def draw_golden(spec: InputSpec, infer: Infer, example: Image | None = None) -> Golden:
    """Choose golden frames among drawn ones, with the outputs of `infer`.

    The good part with the smallest score, then the defective parts with the two largest: an engine with empty or
    constant outputs is detected. With tiles a picture of many good parts, then one of many with defects.
    """
    frames = [draw_frame(spec, index, _kind(index), example) for index in range(2 if spec.tiles else CANDIDATES)]
    if spec.tiles is not None:
        return answered(frames, spec, infer)
    peaks = answered(frames, spec, infer).scores.max(axis=1)
    ranked = sorted(range(CANDIDATES), key=lambda index: float(peaks[index]))
    good = [index for index in ranked if _kind(index) is None]
    defective = [index for index in ranked if _kind(index) is not None]
    return answered([frames[index] for index in (good[0], defective[-1], defective[-2])], spec, infer)


def disturbed(picture: Image, grid: TileGrid | None, index: int) -> Image:
    """Copy a preprocessed picture, uint8 [C, H, W], with a drawn defect; kinds and tiles are taken in turn."""
    made: Image = picture.copy()
    seen = made if grid is None else grid.tile(made, *grid.places[index % len(grid.places)])
    seen[:] = _with_defect(seen.transpose(1, 2, 0), index, CLASSES[index % len(CLASSES)]).transpose(2, 0, 1)
    return made


def answered(frames: Sequence[Image], spec: InputSpec, infer: Infer) -> Golden:
    """Golden frames with the outputs of `infer`, computed one by one as in the later check."""
    answers = [infer(preprocess(frame, spec)[np.newaxis]) for frame in frames]
    scores, masks = (np.concatenate([answer[place] for answer in answers]) for place in (0, 1))
    return Golden(tuple(frames), scores, masks)


def _of_example(example: Image, spec: InputSpec, size: tuple[int, int], index: int, kind: str | None) -> Image:
    """The example in a frame of this size, with the defect of drawn part `index`; with tiles in the first of many."""
    height, width = size
    part = example if kind is None else _with_defect(example, index, kind)
    if spec.tiles is not None:
        sides = (0, max(0, height - len(example))), (0, max(0, width - example.shape[1]))
        mirrored = np.pad(example, (*sides, *[(0, 0)] * (example.ndim - 2)), mode="symmetric")  # no seams
        frame: Image = mirrored[:height, :width].copy()
        seen = frame[: len(part), : part.shape[1]]
        seen[:] = part[: len(seen), : seen.shape[1]]
        return frame
    if spec.crop is None:
        return part
    placed: Image = np.zeros((height, width, *example.shape[2:]), np.uint8)
    placed[spec.crop.y :, spec.crop.x :] = resize(part, spec.crop.height, spec.crop.width)
    return placed


def _with_defect(example: Image, index: int, kind: str) -> Image:
    drawn = draw_tile(SEED, index, kind)
    image, mask = (resize(plane, *example.shape[:2]) for plane in (drawn.image, drawn.masks.max(axis=0)))
    if example.ndim == 3:
        image, mask = image[:, :, np.newaxis], mask[:, :, np.newaxis]
    defective: Image = np.where(mask > 127, image, example)
    return defective


def _draw_mosaic(index: int, kind: str | None, height: int, width: int) -> Image:
    """Drawn parts side by side, uint8 [height, width]."""
    rows, columns = -(-height // MOSAIC_PX[0]), -(-width // MOSAIC_PX[1])
    numbers = np.arange(rows * columns).reshape(rows, columns)
    parts = [[_mosaic_part(index, int(number), kind) for number in row] for row in numbers]
    return np.ascontiguousarray(np.block(parts)[:height, :width])


def _mosaic_part(index: int, number: int, kind: str | None) -> Image:
    if kind is not None:
        turn, good = divmod(number, DEFECTIVE_EVERY)
        kind = None if good else CLASSES[(CLASSES.index(kind) + turn) % len(CLASSES)]
    return resize(draw_tile(SEED + 1 + index, number, kind).image, *MOSAIC_PX)


def _kind(index: int) -> str | None:
    return (None, *CLASSES)[index % (1 + len(CLASSES))]
