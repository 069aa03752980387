"""The tiny bundle in tiles: the same network on pictures of any size."""

from pathlib import Path

import numpy as np
import pytest

from bundle import Golden, InputSpec, MaskSize, Tiling, load_bundle, write_bundle
from bundle.golden import encode
from bundle.manifest import FirstStage
from edge.engines.engine import Engine
from edge.engines.registry import open_engine
from edge.errors import EngineMissing
from tests.conftest import HEIGHT, WIDTH, tiny_manifest, tiny_model, tiny_outputs

TILED = InputSpec(height=70, width=54, channels=1, tiles=Tiling(height=HEIGHT, width=WIDTH, overlap=4, batch=5))
"""With 30 tiles or so in six batches."""


def picture_of(spec: InputSpec, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Mid-grey picture of the size of `spec` with bright boxes: x, y, width, height."""
    picture = np.full((spec.height, spec.width), 128, np.uint8)
    for x, y, width, height in boxes:
        picture[y : y + height, x : x + width] = 255
    return picture


def tiled_changes(spec: InputSpec) -> dict[str, object]:
    """Changes of the tiny manifest for pictures of `spec`."""
    return {"input": spec, "masks": MaskSize(height=spec.height // 2, width=spec.width // 2)}


def write_tiled(folder: Path, spec: InputSpec = TILED, **changes: object) -> Path:
    """Write the tiny bundle for pictures of `spec`, in tiles where it has them."""
    frames = picture_of(spec), picture_of(spec, (2, 4, 4, 4))
    golden = Golden(frames, *tiny_outputs(np.stack(frames)[:, np.newaxis]))
    seen = spec.network
    files = {"model.onnx": tiny_model(seen.height, seen.width), **encode(golden)}
    write_bundle(folder, tiny_manifest(**tiled_changes(spec), **changes), files)
    return folder


LEVEL = 160
"""Between the mid-grey of a good picture, 128, and a bright cell of which half is in shade, 191."""


def first_of(spec: InputSpec) -> InputSpec:
    """Input of a first stage at half the size of `spec`, in whole cells."""
    return InputSpec(height=spec.height // 4 * 2, width=spec.width // 4 * 2, channels=1)


def write_staged(folder: Path, spec: InputSpec = TILED, level: int = LEVEL) -> Path:
    """Write the tiny bundle in tiles, with the same network at half the size as its first stage."""
    tiled = load_bundle(write_tiled(folder.with_name("alone"), spec))
    first = load_bundle(write_tiled(folder.with_name("small"), first_of(spec)))
    manifest = tiled.manifest.model_copy(update={"first_stage": FirstStage(id=first.id, level=level)})
    write_bundle(folder, manifest, tiled.read_files(), first)
    return folder


def open_or_skip(name: str, folder: Path) -> Engine:
    """Open a bundle on an engine, again whenever it fails; skip the test where the engine is not installed."""
    try:
        return open_engine(name, load_bundle(folder), threads=1, reopens=True)
    except EngineMissing as error:
        pytest.skip(f"{name} does not run here: {error}")
