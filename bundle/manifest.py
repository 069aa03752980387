"""The manifest of a bundle, `manifest.json`."""

import hashlib
import json
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from bundle.decide import ExposureRule, Threshold
from bundle.errors import BundleDamaged, BundleFormat
from bundle.files import read_regular
from bundle.frozen_model import FrozenModel
from bundle.preprocess import InputSpec, Sizes
from bundle.tiling import TileGrid, Tiling

FORMAT: Final = 1
"""Format version of the manifest of a bundle without tiles."""
TILED_FORMAT: Final = 2
"""With `input.tiles`, so that a program that knows nothing of tiles refuses the bundle by its version."""
STAGED_FORMAT: Final = 3
"""With `first_stage`, likewise."""
NEWEST_FORMAT: Final = 4
"""With another rule for `exposures` than the worst of them, likewise."""

MANIFEST = "manifest.json"
MOST_BYTES = 32 * 2**20
"""Of the manifest; the split of 100,000 images takes 7 MB."""
MOST_DEPTH = 32
"""Of nested objects and arrays in the manifest."""
MOST_CLASSES = 256
LONGEST_NAME = 100
"""Characters in the name of a class or a bundle."""

Precision = Literal["fp32", "fp16", "int8"]


def name_problem(name: str) -> str | None:
    """Say why a text cannot be the name of a class or a bundle, or None if it can.

    Names end up in tables, CSV files, pages, file names and messages to the PLC.
    """
    if not name or len(name) > LONGEST_NAME:
        return f"found {len(name)} characters, expected 1 to {LONGEST_NAME}"
    if not name.isprintable() or name != name.strip():
        return f"found {name!a}, expected printable characters without spaces at the ends"
    if "/" in name or "\\" in name or name in (".", ".."):
        return f"found {name!r}, expected no path separator"
    return None


def _checked_name(name: str) -> str:
    if (problem := name_problem(name)) is not None:
        raise ValueError(f"name: {problem}")
    return name


Name = Annotated[str, AfterValidator(_checked_name)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class MaskSize(FrozenModel):
    """Size of the output masks, in cells."""

    height: int = Field(ge=1, le=65536)
    width: int = Field(ge=1, le=65536)


class Tolerance(FrozenModel):
    """Largest allowed differences between an engine's outputs on the golden frames and those stored.

    The upper limits are far above what INT8 needs; beyond them the check would pass another network.
    """

    score: float = Field(gt=0, le=0.25, allow_inf_nan=False)
    """Of a score."""
    mask: int = Field(ge=0, le=64)
    """Of a mask's cell, in levels of 255."""


SIZES = "sizes"
"""Key of `MadeFrom.sizes` in the metrics of the part "train"."""
_SIZES = TypeAdapter(Sizes | None, config=ConfigDict(strict=True))


class MadeFrom(FrozenModel):
    """Origin of the weights."""

    recipe: dict[str, Any]
    """The training recipe with every value."""
    checkpoint_sha256: str
    split: dict[str, Any]
    """The split of the data set: kind, seed, images by sha256."""
    metrics: dict[str, Any]
    """Metrics of the training, by the part of the data set they were measured on."""
    software: dict[str, str]
    """Versions of the packages that made the bundle."""
    comparison: dict[str, Any] = Field(default_factory=dict)
    """Largest differences between the outputs of the checkpoint and of this bundle, with the frames compared on."""
    citation: str = ""
    """Publication to cite for the data."""

    @property
    def sizes(self) -> Sizes | None:
        """Least and greatest sides of the pictures that were learnt; None where the training did not say."""
        stored = self.metrics.get("train")
        try:
            return _SIZES.validate_json(json.dumps(stored.get(SIZES) if isinstance(stored, dict) else None))
        except ValidationError:
            return None


class FirstStage(FrozenModel):
    """A network on the whole picture that chooses the tiles to judge: a bundle of its own, in the folder `first`."""

    id: Sha256
    """Id of that bundle."""
    level: int = Field(ge=1, le=255)
    """Level of its masks from which on a tile is judged."""


class Manifest(FrozenModel):
    """Everything in a bundle but its weights.

    `thresholds` has the same keys in the same order as `classes`, which is the order of the output channels.
    `files` holds the sha256 of every other file, by its path in the bundle.
    `id` is the sha256 of the canonical manifest without it.
    """

    format: Literal[1, 2, 3, 4] = FORMAT
    id: str = ""
    name: Name
    classes: tuple[Name, ...] = Field(min_length=1, max_length=MOST_CLASSES)
    input: InputSpec
    masks: MaskSize
    thresholds: dict[str, Threshold]
    precision: Precision
    tolerances: dict[Precision, Tolerance]
    made_from: MadeFrom
    files: dict[str, Sha256]
    first_stage: FirstStage | None = None
    """None where every tile is judged."""
    exposures: ExposureRule = "worst"
    """How the exposures that a camera takes of a part are judged; the thresholds were chosen for it."""

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if tuple(self.thresholds) != self.classes:
            raise ValueError(f"thresholds are for {list(self.thresholds)}, expected one per class {list(self.classes)}")
        if self.precision not in self.tolerances:
            raise ValueError(f"tolerances has no entry for the precision {self.precision}")
        if self.input.tiles is not None:
            self._check_tiles(self.input.tiles)
        elif self.first_stage is not None:
            raise ValueError("first_stage: found one without input.tiles, expected tiles among which it chooses")
        return self

    @model_serializer(mode="wrap")
    def _without_later_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing and earlier formats do not have, so that their bundles keep their ids."""
        content: dict[str, Any] = dump(self)
        if self.first_stage is None:
            content.pop("first_stage", None)
        if self.exposures == "worst":
            content.pop("exposures", None)
        return content

    def _check_tiles(self, tiles: Tiling) -> None:
        spec, cells = self.input, self.masks
        if spec.height % cells.height or spec.width % cells.width:
            raise ValueError(
                f"masks: found {cells.width}x{cells.height} cells in {spec.width}x{spec.height} pixels with tiles, "
                "expected cells of whole pixels"
            )
        cell = spec.height // cells.height, spec.width // cells.width
        if (problem := tiles.problem(spec.height, spec.width, cell)) is not None:
            raise ValueError(f"input.{problem}")

    @property
    def version(self) -> Literal[1, 2, 3, 4]:
        """The format that this content needs."""
        if self.exposures != "worst":
            return NEWEST_FORMAT
        if self.first_stage is not None:
            return STAGED_FORMAT
        return FORMAT if self.input.tiles is None else TILED_FORMAT

    def problem_as_first_stage(self, tiled: "Manifest") -> str | None:
        """Say why this network cannot be the first stage of one with tiles, or None if it can."""
        if self.input.tiles is not None or self.first_stage is not None:
            return "found a network with tiles, expected one that sees the whole picture at once"
        if self.input.crop != tiled.input.crop:
            return f"found the crop {self.input.crop}, expected that of the tiles: {tiled.input.crop}"
        return None

    @property
    def network_masks(self) -> MaskSize:
        """Size of the masks of one run of the network: of a tile, or of all of the input."""
        spec, seen = self.input, self.input.network
        rows, columns = self.masks.height * seen.height // spec.height, self.masks.width * seen.width // spec.width
        return MaskSize(height=rows, width=columns)

    def run_size(self, frames: int) -> int:
        """Largest number of frames, or of tiles, in one run of the network for a part with this many frames."""
        return frames if self.input.tiles is None else self.input.tiles.batch

    @property
    def tile_grid(self) -> TileGrid | None:
        """Places of the tiles; None without tiles."""
        spec, cells = self.input, self.masks
        if spec.tiles is None:
            return None
        return TileGrid.of(spec.tiles, (spec.height, spec.width), (cells.height, cells.width))

    def sealed(self) -> "Manifest":
        """Return the manifest with its id, in the form in which it will be read back."""
        as_read = Manifest.model_validate_json(self.model_copy(update={"format": self.version}).model_dump_json())
        return as_read.model_copy(update={"id": as_read.computed_id()})

    def computed_id(self) -> str:
        """Compute the id: sha256 of the canonical JSON (no id, no spaces, keys sorted, UTF-8)."""
        content = self.model_dump(mode="json", exclude={"id"})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> str:
        """Content of `manifest.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read and verify the manifest of the bundle in `folder`.

    Raises BundleDamaged if it is missing, too large, no JSON, or its id does not match; BundleFormat for another format
    version, an unknown key or a value out of range.
    """
    path = folder / MANIFEST
    content = _parsed(path, read_regular(folder, MANIFEST, MOST_BYTES))
    found = content.get("format")
    if found not in (FORMAT, TILED_FORMAT, STAGED_FORMAT, NEWEST_FORMAT):
        newer = isinstance(found, int) and found > NEWEST_FORMAT
        advice = "update edge-inspect on this machine" if newer else "export the bundle again"
        raise BundleFormat(
            f"{path}: format: found {_shortened(found)}, expected {FORMAT}, {TILED_FORMAT} with tiles, "
            f"{STAGED_FORMAT} with a first stage or {NEWEST_FORMAT} with exposures judged together; {advice}"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise BundleFormat(f"{path}: {first_problem(error)}; export the bundle again, do not edit it") from None
    if manifest.format != manifest.version:
        raise BundleFormat(
            f"{path}: format: found {found}, expected {manifest.version}, as input.tiles, first_stage and exposures "
            "say; export the bundle again, do not edit it"
        )
    expected = manifest.computed_id()
    if manifest.id != expected:
        raise BundleDamaged(
            f"{path}: id: found {_shortened(manifest.id[:12])}, expected {expected[:12]!r} for this content; "
            "the manifest was changed after export: copy the bundle again"
        )
    return manifest


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content, parse_float=_finite, parse_constant=_finite)
        _check_values(parsed)
    except (ValueError, RecursionError) as error:
        raise BundleDamaged(f"{path}: is not JSON that can be used ({error}); copy the bundle again") from None
    if not isinstance(parsed, dict):
        raise BundleDamaged(f"{path}: found a JSON {type(parsed).__name__}, expected an object; copy the bundle again")
    return parsed


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise ValueError(f"found the number {number[:20]}, expected a finite one")
    return value


def _check_values(content: Any) -> None:
    """Raise ValueError for deeper nesting than MOST_DEPTH, or text that is not valid Unicode."""
    level, depth = [content], 0
    while level:
        if depth > MOST_DEPTH:
            raise ValueError(f"found values nested more than {MOST_DEPTH} deep")
        texts = [value for value in level if isinstance(value, str)]
        texts += [key for value in level if isinstance(value, dict) for key in value]
        for text in texts:
            text.encode()
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
        level, depth = below, depth + 1


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def first_problem(error: ValidationError) -> str:
    """Say one problem of a validation in one line: key, found, expected.

    An unknown key comes first: a misspelt key is also a missing one, and the misspelling has to be corrected.
    """
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(_key_text(part) for part in problem["loc"]) or "content"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "value_error":  # said by a check of our own, with what was found
        said = str(problem["ctx"]["error"])
        return f"{key}: {said}" if problem["loc"] else said
    return f"{key}: found {_shortened(problem['input'])}, expected: {problem['msg']}"


def _key_text(part: int | str) -> str:
    """A key as it stands in the file, unless it is long or has control characters."""
    text = str(part)
    return text if text.isprintable() and len(text) <= 80 else _shortened(text)
