"""Images for INT8 calibration."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle import SUFFIXES, Bundle, FrameError, Image, InputSpec, read_image
from bundle.preprocess import Crop, seen
from export.errors import CalibrationError
from export.evaluate.batched_inference import Bar
from export.evaluate.labelled_images import own_split

FLOOR = 32
"""Fewer pictures than this need --force: the histograms of a handful say little about the next thousand. A picture in
tiles counts with each tile."""

UNRELATED = 0.2
"""Neighbouring pixels of camera pictures correlate by 0.5 and more, those of noise by 0."""


@dataclass(frozen=True)
class CalibrationSet:
    """Preprocessed calibration frames with their origin."""

    inputs: Image
    """uint8 [N, C, H, W]"""
    hashes: frozenset[str]
    """sha256 of the files; the accuracy gate leaves these images out."""
    description: str


def collect(folder: Path, bundle: Bundle, resize: bool, limit: int, force: bool) -> CalibrationSet:
    """Read the pictures of a folder and its subfolders, through `bundle.preprocess`.

    A .png beside a picture of the same name is its truth mask and is left out, as are pictures that the bundle's split
    keeps for validation and test. Of more than `limit`, every n-th is taken.
    Raises CalibrationError for none, too few (unless `force`), noise, or pictures of another size than the network's
    input (unless `resize`); FrameError for a damaged one.
    """
    found = _for_calibration(_pictures(folder), bundle)
    pictures = _spread(found, limit)
    if not pictures:
        raise CalibrationError(f"{folder}: found no pictures for calibration, expected {FLOOR} or more; check --images")
    grid = bundle.manifest.tile_grid
    if len(pictures) * (1 if grid is None else len(grid.places)) < FLOOR and not force:
        left = "" if pictures == found else f", of which --limit {limit} leaves {len(pictures)}"
        raise CalibrationError(
            f"{folder}: found {len(found)} pictures to calibrate on{left}, expected at least {FLOOR}; "
            f"{'raise --limit' if left else 'add some'}, or use --force"
        )
    inputs, relations = [], []
    with Bar("reading pictures", len(pictures)) as bar:
        for path in pictures:
            frame = read_image(path)
            _check_size(path, frame, bundle.manifest.input, resize)
            inputs.append(bundle.prepare(frame))
            relations.append(relation(frame))
            bar.step(1)
    if np.median(relations) < UNRELATED:
        raise CalibrationError(
            f"{folder}: found neighbouring pixels unrelated (median correlation {np.median(relations):.2f}), expected "
            f"pictures of parts (at least {UNRELATED}); noise and blank frames give ranges that no part will have"
        )
    hashes = frozenset(_sha256(path) for path in pictures)
    return CalibrationSet(np.stack(inputs), hashes, f"{len(pictures)} pictures of {folder.name}")


def relation(frame: Image) -> float:
    """The larger of the correlations of neighbours along rows and columns; 0 for a blank frame."""
    grey = frame.astype(np.float32) if frame.ndim == 2 else frame.mean(axis=2, dtype=np.float32)
    grey = grey - grey.mean()
    power = float(np.square(grey).mean())
    if power < 1e-6:
        return 0.0
    return max(float((grey[1:] * grey[:-1]).mean()), float((grey[:, 1:] * grey[:, :-1]).mean())) / power


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        kind = "a file, expected a folder" if folder.exists() else "no such folder, expected one"
        raise CalibrationError(f"{folder}: found {kind} of pictures; check --images")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    named = {path.with_suffix("") for path in found if path.suffix.lower() != ".png"}
    return [path for path in found if path.suffix.lower() != ".png" or path.with_suffix("") not in named]


def _for_calibration(pictures: Sequence[Path], bundle: Bundle) -> list[Path]:
    sides = own_split(bundle).images
    return [path for path in pictures if sides.get(_sha256(path), "train") == "train"]


def _spread(pictures: Sequence[Path], limit: int) -> list[Path]:
    step = max(1, -(-len(pictures) // limit))
    return list(pictures[::step])


def _check_size(path: Path, frame: Image, spec: InputSpec, resize: bool) -> None:
    if spec.tiles is not None:
        try:
            seen(frame, spec)
        except FrameError as error:
            raise CalibrationError(f"{path}: {error}") from None
        return
    part: Crop | None = spec.crop
    found = (part.height, part.width) if part else (frame.shape[0], frame.shape[1])
    if found != (spec.height, spec.width) and not resize:
        raise CalibrationError(
            f"{path}: found {found[1]}x{found[0]}, expected the network's input, {spec.width}x{spec.height} (width x "
            "height); use --resize if the line's frames have this size too"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
