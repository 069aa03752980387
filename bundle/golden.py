"""Golden frames: stored frames with the outputs that an engine must reproduce before it may go on line."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleDamaged, FrameError, GoldenMismatch
from bundle.images import decode_image, encode_png
from bundle.manifest import Manifest, Tolerance
from bundle.png import MARK as PNG_MARK
from bundle.preprocess import InputSpec, seen

EXPECTED = "golden/expected.npz"

FEWEST_FRAMES, MOST_FRAMES = 2, 64
MOST_FRAME_BYTES = 256 * 2**20
"""Of one frame's file."""
MOST_DECODED_BYTES = 2**30
"""Of all frames' pixels together, likewise of the expected outputs."""
MOST_HEADER_BYTES = 4096
"""Of an array's header in `expected.npz`; numpy writes 128."""
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<descr>[<|a-z0-9]{1,8})', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9, ]{0,200})\),? ?\} *\n",
    re.DOTALL,
)


@dataclass(frozen=True)
class Golden:
    """Frames with the outputs of the bundle's network.

    frames: uint8 [H, W] or [H, W, 3] RGB, as from a camera; scores: float32 [N, C]; masks: uint8 [N, C, h, w].
    """

    frames: tuple[NDArray[np.uint8], ...]
    scores: NDArray[np.float32]
    masks: NDArray[np.uint8]


Infer = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.uint8]]]
"""Preprocessed frames, uint8 [N, C, H, W], to scores float32 [N, C] with masks uint8 [N, C, h, w]."""


def frame_file(index: int) -> str:
    """Path of golden frame `index` within the bundle."""
    return f"golden/frame{index}.png"


def encode(golden: Golden) -> dict[str, bytes]:
    """Encode golden frames as files of the bundle, by path."""
    files = {frame_file(index): encode_png(frame) for index, frame in enumerate(golden.frames)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, scores=golden.scores, masks=golden.masks)
    return files | {EXPECTED: buffer.getvalue()}


def golden_files(count: int) -> set[str]:
    """Names of the files of `count` golden frames within the bundle."""
    return {EXPECTED, *(frame_file(index) for index in range(count))}


def decode(folder: Path, contents: Mapping[str, bytes], manifest: Manifest) -> Golden:
    """Decode the golden frames from the contents of their files.

    folder: of the bundle, for messages. Sizes are checked against the manifest before anything is decompressed.
    Raises BundleDamaged if they cannot be decoded, or do not fit the manifest.
    """
    count = len(contents) - 1
    masks, classes = manifest.masks, len(manifest.classes)
    shapes = {"scores": (count, classes), "masks": (count, classes, masks.height, masks.width)}
    try:
        scores, levels = _arrays(contents[EXPECTED], shapes)
    except (ValueError, zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleDamaged(f"{folder / EXPECTED}: found {reason}; export the bundle again") from None
    if not np.isfinite(scores).all() or scores.min() < 0 or scores.max() > 1:
        raise BundleDamaged(f"{folder / EXPECTED}: found scores outside 0 to 1; export the bundle again")
    frames: list[NDArray[np.uint8]] = []
    for name in map(frame_file, range(count)):
        frames.append(_frame(folder / name, contents[name], manifest.input))
        if sum(frame.nbytes for frame in frames) > MOST_DECODED_BYTES:
            raise BundleDamaged(f"{folder}: found golden frames of more than {MOST_DECODED_BYTES} bytes, expected less")
    return Golden(tuple(frames), scores, levels)


def _frame(path: Path, content: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    if not content.startswith(PNG_MARK):
        raise BundleDamaged(f"{path}: found no PNG, expected one; export the bundle again")
    try:
        frame = decode_image(path, content)
        seen(frame, spec)
    except FrameError as error:
        raise BundleDamaged(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return frame


def _arrays(content: bytes, shapes: Mapping[str, tuple[int, ...]]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Read scores float32 and masks uint8 of the shapes expected. Raises ValueError and what zipfile and zlib raise."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sorted(member.filename for member in members) != ["masks.npy", "scores.npy"]:
            raise ValueError(f"{len(members)} members, expected scores.npy and masks.npy")
        scores = _array(archive, "scores.npy", "<f4", shapes["scores"])
        masks = _array(archive, "masks.npy", "|u1", shapes["masks"])
    return scores.astype(np.float32), masks


def _array(archive: zipfile.ZipFile, member: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Read one array (numpy.lib.format, version 1.0) whose type and shape are known, so that sizes cannot surprise."""
    length = prod(shape) * np.dtype(dtype).itemsize
    if length > MOST_DECODED_BYTES:
        raise ValueError(f"{member} of {length} bytes by the manifest, expected at most {MOST_DECODED_BYTES}")
    info = archive.getinfo(member)
    if not length < info.file_size <= length + MOST_HEADER_BYTES:
        raise ValueError(f"{member} of {info.file_size} bytes, expected {length} with a header, by the manifest")
    with archive.open(info) as file:
        data = file.read(length + MOST_HEADER_BYTES + 1)  # more would be decompressed than the size promises
    header = _NPY_HEADER.match(data)
    if header is None:
        raise ValueError(f"{member} without a header of numpy's format 1.0")
    described, sides = header["descr"].decode(), tuple(int(side) for side in re.findall(rb"\d+", header["shape"]))
    if described != dtype or sides != shape or len(data) != header.end() + length:
        raise ValueError(f"{member} of {described} {sides}, expected {dtype} {shape} by the manifest")
    return np.array(np.frombuffer(data, dtype, offset=header.end()).reshape(shape))


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
