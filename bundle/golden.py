"""Golden frames: what an engine must answer before it may go on line."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleDamaged, FrameError, GoldenMismatch
from bundle.images import encode_png, read_image
from bundle.manifest import Tolerance

EXPECTED = "golden/expected.npz"


@dataclass(frozen=True)
class Golden:
    """Frames with the outputs that the bundle's own weights gave for them.

    frames: uint8 [H, W] or [H, W, 3] RGB, as from a camera; scores: float32 [N, C]; masks: uint8 [N, C, h, w].
    """

    frames: tuple[NDArray[np.uint8], ...]
    scores: NDArray[np.float32]
    masks: NDArray[np.uint8]


Infer = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.uint8]]]
"""Preprocessed frames, uint8 [N, C, H, W], to scores float32 [N, C] with masks uint8 [N, C, h, w]."""


def frame_file(index: int) -> str:
    """Name the file of golden frame `index` within the bundle."""
    return f"golden/frame{index}.png"


def encode(golden: Golden) -> dict[str, bytes]:
    """Turn golden frames into the bundle's files, by path."""
    files = {frame_file(index): encode_png(frame) for index, frame in enumerate(golden.frames)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, scores=golden.scores, masks=golden.masks)
    return files | {EXPECTED: buffer.getvalue()}


def decode(folder: Path) -> Golden:
    """Read the golden frames of the bundle in `folder`; raises BundleDamaged if they cannot be read."""
    try:
        with np.load(folder / EXPECTED, allow_pickle=False) as arrays:
            scores, masks = arrays["scores"], arrays["masks"]
    except (OSError, ValueError, KeyError) as error:
        raise BundleDamaged(f"{folder / EXPECTED}: cannot be read ({error}); copy the bundle again") from None
    try:
        frames = tuple(read_image(folder / frame_file(index)) for index in range(len(scores)))
    except FrameError as error:
        raise BundleDamaged(str(error)) from None
    return Golden(frames, scores, masks)


def compare(golden: Golden, infer: Infer, inputs: Sequence[NDArray[np.uint8]], tolerance: Tolerance) -> None:
    """Run the golden frames through an engine, one by one.

    inputs: the preprocessed frames, uint8 [C, H, W] each.
    Raises GoldenMismatch with the largest difference if any output lies outside the tolerance.
    """
    for index, frame in enumerate(inputs):
        scores, masks = infer(frame[np.newaxis])
        expected = golden.scores[index : index + 1], golden.masks[index : index + 1]
        if (scores.shape, masks.shape) != (expected[0].shape, expected[1].shape):
            raise GoldenMismatch(
                f"golden frame {index}: found outputs {scores.shape} {masks.shape}, "
                f"expected {expected[0].shape} {expected[1].shape}; the engine is not this bundle's"
            )
        score_gap = float(np.abs(scores - expected[0]).max())
        mask_gap = int(np.abs(masks.astype(np.int16) - expected[1].astype(np.int16)).max())
        if not score_gap <= tolerance.score or mask_gap > tolerance.mask:  # `not <=` also catches NaN
            raise GoldenMismatch(
                f"golden frame {index}: found differences of {score_gap:.4f} in a score, {mask_gap} in a mask, "
                f"expected at most {tolerance.score} and {tolerance.mask}; "
                "the engine computes something else: rebuild it, do not go on line"
            )
