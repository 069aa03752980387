"""A bundle on disk: an immutable folder that appears whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.decide import Decision, Geometry, decide
from bundle.errors import BundleDamaged, BundleError
from bundle.golden import Golden, Infer, compare, decode
from bundle.manifest import Manifest, read_manifest
from bundle.preprocess import preprocess

MANIFEST = "manifest.json"
MODEL = "model.onnx"


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and verified."""

    folder: Path
    manifest: Manifest
    golden: Golden

    @property
    def id(self) -> str:
        """The sha256 that names this bundle."""
        return self.manifest.id

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.folder / MODEL

    def prepare(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Make the network's input, uint8 [C, H, W], of a frame; see `preprocess`."""
        return preprocess(frame, self.manifest.input)

    def decide(
        self,
        scores: NDArray[np.float32],
        masks: NDArray[np.uint8],
        frame_shape: tuple[int, ...],
        unsure_margin: float = 0.0,
    ) -> Decision:
        """Decide on one frame of this shape (height first) by the bundle's thresholds; see `decide`."""
        geometry = self._geometry(frame_shape)
        return decide(scores, masks, self.manifest.thresholds, geometry, unsure_margin)

    def input_pixel_area(self, frame_shape: tuple[int, ...]) -> float:
        """Area of one pixel of the network's input, in pixels of a frame of this shape."""
        geometry = self._geometry(frame_shape)
        return geometry.width * geometry.height / (geometry.input_width * geometry.input_height)

    def _geometry(self, frame_shape: tuple[int, ...]) -> Geometry:
        return Geometry.of(self.manifest.input, frame_shape[0], frame_shape[1])

    def check(self, infer: Infer) -> None:
        """Raise GoldenMismatch unless an engine answers the golden frames as this bundle expects."""
        inputs = [self.prepare(frame) for frame in self.golden.frames]
        compare(self.golden, infer, inputs, self.manifest.tolerances[self.manifest.precision])


def load_bundle(folder: Path | str) -> Bundle:
    """Read a bundle with every file verified against the manifest.

    Raises BundleDamaged or BundleFormat: which file, found, expected, what to do.
    """
    folder = Path(folder)
    manifest = read_manifest(folder / MANIFEST)
    if MODEL not in manifest.files:
        raise BundleDamaged(f"{folder}: files: found no {MODEL}, expected one; export the bundle again")
    for name, expected in manifest.files.items():
        _verify(folder, name, expected)
    golden = decode(folder)
    if len(golden.frames) < 2:
        raise BundleDamaged(f"{folder}: found {len(golden.frames)} golden frames, expected at least 2; export it again")
    return Bundle(folder, manifest, golden)


def write_bundle(folder: Path | str, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """Write a new bundle, whole or not at all.

    files: contents by path within the bundle, without the manifest; their hashes replace `manifest.files`.
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
        for name, content in {**files, MANIFEST: sealed.to_json().encode()}.items():
            _write_through(draft / name, content)
        draft.chmod(0o755)  # mkdtemp makes it private
        draft.rename(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise BundleError(f"{folder}: cannot be written ({error.strerror}); free some space and try again") from None
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return sealed


def _write_through(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _verify(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise BundleDamaged(f"{folder}: files: found {name!r}, expected a path within the bundle; export it again")
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleDamaged(f"{path}: cannot be read ({error.strerror}); copy the bundle again") from None
    if found != expected:
        raise BundleDamaged(
            f"{path}: found sha256 {found[:12]}…, expected {expected[:12]}…; the file is damaged: copy the bundle again"
        )
