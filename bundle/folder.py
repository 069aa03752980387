"""A bundle on disk: an immutable folder, written atomically and verified when it is read."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.decide import Decision, Geometry, decide
from bundle.errors import BundleDamaged, BundleError, BundleFormat
from bundle.files import read_regular, sync_folder, unreadable
from bundle.golden import (
    EXPECTED,
    FEWEST_FRAMES,
    MOST_DECODED_BYTES,
    MOST_FRAME_BYTES,
    MOST_FRAMES,
    Golden,
    Infer,
    compare,
    decode,
    golden_files,
)
from bundle.manifest import MANIFEST, Manifest, Tolerance, read_manifest
from bundle.onnx_limits import MOST_BYTES, check_model
from bundle.preprocess import check_size, preprocess

MODEL = "model.onnx"
FIRST = "first"
"""Folder of the first stage within a bundle with tiles."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and verified."""

    folder: Path
    manifest: Manifest
    golden: Golden
    first_stage: "Bundle | None" = None
    """Of a bundle with tiles: the network on the whole picture that chooses among them."""
    within: Path | None = None
    """Of a first stage: the folder of the bundle that it belongs to."""

    @property
    def stages(self) -> "tuple[Bundle, ...]":
        """Networks in the order in which they run."""
        return (self,) if self.first_stage is None else (self.first_stage, self)

    @property
    def id(self) -> str:
        """sha256 of the canonical manifest."""
        return self.manifest.id

    @property
    def model(self) -> Path:
        """Path of the ONNX file, for messages; engines read it with `read_model`."""
        return self.folder / MODEL

    def read_model(self) -> bytes:
        """Read the ONNX file and verify it again: what an engine gets is what `load_bundle` has checked.

        Raises BundleDamaged if the file has changed since.
        """
        return _verified(self.folder, MODEL, self.manifest.files[MODEL], MOST_BYTES)

    def read_files(self) -> dict[str, bytes]:
        """Read and verify all files but the manifest and those of a first stage, by path within the bundle.

        Raises BundleDamaged if one has changed since.
        """
        most = max(MOST_BYTES, MOST_FRAME_BYTES, MOST_DECODED_BYTES)
        return {name: _verified(self.folder, name, digest, most) for name, digest in self.manifest.files.items()}

    def check_size(self, frame_shape: tuple[int, ...]) -> None:
        """Raise FrameError for a frame in which it may not see what it learnt; see `check_size` of preprocess."""
        check_size(frame_shape, self.manifest.input, self.manifest.made_from.sizes)

    def prepare(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Preprocess a frame to the network's input, uint8 [C, H, W]; see `preprocess`."""
        return preprocess(frame, self.manifest.input)

    def decide(
        self,
        scores: NDArray[np.float32],
        masks: NDArray[np.uint8],
        frame_shape: tuple[int, ...],
        unsure_margin: float = 0.0,
    ) -> Decision:
        """Decide on one frame of this shape (height first) with the bundle's thresholds; see `decide`."""
        geometry = self._geometry(frame_shape)
        return decide(scores, masks, self.manifest.thresholds, geometry, unsure_margin)

    def input_pixel_area(self, frame_shape: tuple[int, ...]) -> float:
        """Area of one pixel of the network's input, in pixels of a frame of this shape."""
        geometry = self._geometry(frame_shape)
        return geometry.width * geometry.height / (geometry.input_width * geometry.input_height)

    def _geometry(self, frame_shape: tuple[int, ...]) -> Geometry:
        return Geometry.of(self.manifest.input, frame_shape[0], frame_shape[1])

    def check(self, infer: Infer, tolerance: Tolerance | None = None) -> None:
        """Raise GoldenMismatch unless an engine reproduces the golden outputs.

        tolerance: None for that of the bundle's precision.
        """
        inputs = [self.prepare(frame) for frame in self.golden.frames]
        compare(self.golden, infer, inputs, tolerance or self.manifest.tolerances[self.manifest.precision])


def load_bundle(folder: Path | str) -> Bundle:
    """Read a bundle with every file verified against the manifest.

    The content is not trusted: sizes are limited before anything is read, decompressed or decoded, links, pipes and
    files that the manifest does not list are refused, and so is a graph with control flow or weights in other files.
    What the graph computes, and for how long, only an engine can tell: see `edge.engines.probe`.
    Raises BundleDamaged or BundleFormat: which file, found, expected, what to do.
    """
    bundle = _load_network(Path(folder))
    return replace(bundle, first_stage=_load_first_stage(bundle)) if bundle.manifest.first_stage else bundle


def _load_first_stage(tiled: Bundle) -> Bundle:
    """Load the network on the whole picture of a bundle with tiles, whose manifest holds its id."""
    folder, expected = tiled.folder / FIRST, tiled.manifest.first_stage
    if folder.is_symlink():
        raise BundleDamaged(f"{folder}: found a link, expected a folder; copy the bundle itself")
    first = _load_network(folder)
    if expected is None or first.id != expected.id:
        raise BundleDamaged(
            f"{folder}: found bundle {first.id[:12]}, expected the first stage that the manifest names; "
            "copy the bundle again"
        )
    if (problem := first.manifest.problem_as_first_stage(tiled.manifest)) is not None:
        raise BundleFormat(f"{folder}: {problem}; export the bundle again")
    return replace(first, within=tiled.folder)


def _load_network(folder: Path) -> Bundle:
    """Load a bundle without its first stage."""
    manifest = read_manifest(folder)
    frames = _check_listing(folder, manifest)
    model = _verified(folder, MODEL, manifest.files[MODEL], MOST_BYTES)
    try:
        check_model(model)
    except ValueError as error:
        raise BundleDamaged(f"{folder / MODEL}: found {error}; export the bundle again") from None
    limits = dict.fromkeys(golden_files(frames), MOST_FRAME_BYTES) | {EXPECTED: MOST_DECODED_BYTES}
    golden = {name: _verified(folder, name, manifest.files[name], most) for name, most in limits.items()}
    return Bundle(folder, manifest, decode(folder, golden, manifest))


def _check_listing(folder: Path, manifest: Manifest) -> int:
    """Check that manifest and folder both have the files of a bundle alone; return the number of golden frames."""
    frames = len(manifest.files) - 2
    if not FEWEST_FRAMES <= frames <= MOST_FRAMES:
        raise BundleDamaged(
            f"{folder}: files: found {len(manifest.files)}, expected {MODEL}, {EXPECTED} and {FEWEST_FRAMES} to "
            f"{MOST_FRAMES} golden frames; export the bundle again"
        )
    expected = {MODEL} | golden_files(frames)
    if extra := sorted(set(manifest.files) - expected):
        raise BundleDamaged(
            f"{folder}: files: found {extra[0][:80]!a}, expected {MODEL}, {EXPECTED} and golden frames within the "
            "bundle; export the bundle again"
        )
    known = {MANIFEST, *expected, *({FIRST} if manifest.first_stage else ())}
    for name in _names(folder):
        if name not in known and not any(each.startswith(f"{name}/") for each in known):
            raise BundleDamaged(
                f"{folder}: found {name[:80]!a}, expected only the files that the manifest lists; remove it, or copy "
                "the bundle again"
            )
    return frames


def _names(folder: Path) -> Iterator[str]:
    """Names in the bundle's folder and in `golden/`; links are not followed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name
                if entry.name == "golden" and entry.is_dir(follow_symlinks=False):
                    with os.scandir(entry.path) as inner:
                        yield from (f"golden/{each.name}" for each in inner)
    except OSError as error:
        raise unreadable(folder, error, "check the permissions") from None


def write_bundle(
    folder: Path | str, manifest: Manifest, files: Mapping[str, bytes], first_stage: Bundle | None = None
) -> Manifest:
    """Write a new bundle atomically.

    files: contents by path within the bundle, without the manifest; their hashes replace `manifest.files`.
    first_stage: the bundle that `manifest.first_stage` names, which is copied.
    Returns the manifest as sealed. Raises BundleError if `folder` exists or cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise BundleError(f"{folder}: exists already, and bundles are never changed; choose another name or remove it")
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    sealed = manifest.model_copy(update={"files": hashes}).sealed()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({error.strerror}); check the path and permissions") from None
    try:
        _write_network(draft, sealed, files)
        if first_stage is not None:
            _write_network(draft / FIRST, first_stage.manifest, first_stage.read_files())
        load_bundle(draft)  # nothing is written that would be refused when it is read
        draft.chmod(0o755)  # mkdtemp makes it private
        draft.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise BundleError(f"{folder}: cannot be written ({error.strerror}); free some space and try again") from None
    except BundleError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise type(error)(str(error).replace(str(draft), str(folder))) from None
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return sealed


def _write_network(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    for name, content in {**files, MANIFEST: manifest.to_json().encode()}.items():
        _write_through(folder / name, content)


def _write_through(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _verified(folder: Path, name: str, expected: str, most_bytes: int) -> bytes:
    content = read_regular(folder, name, most_bytes)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise BundleDamaged(
            f"{folder / name}: found sha256 {found[:12]}…, expected {expected[:12]}…; the file is damaged: copy the "
            "bundle again"
        )
    return content
