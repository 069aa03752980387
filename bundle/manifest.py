"""What a bundle says of itself: `manifest.json`."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from bundle.decide import Threshold
from bundle.errors import BundleDamaged, BundleFormat
from bundle.frozen_model import FrozenModel
from bundle.preprocess import InputSpec

FORMAT: Final = 1
"""Version of the manifest's layout that this software writes and reads."""

Precision = Literal["fp32", "fp16", "int8"]


class MaskSize(FrozenModel):
    """Size of the output masks, in cells."""

    height: int = Field(ge=1)
    width: int = Field(ge=1)


class Tolerance(FrozenModel):
    """How far an engine's outputs on the golden frames may lie from those stored."""

    score: float = Field(gt=0, le=1)
    """Largest difference of a score."""
    mask: int = Field(ge=0, le=255)
    """Largest difference of a mask's cell, in levels of 255."""


class MadeFrom(FrozenModel):
    """Where the weights come from."""

    recipe: dict[str, Any]
    """The training recipe, every value of it."""
    checkpoint_sha256: str
    split: dict[str, Any]
    """The split of the data, as `train` wrote it: kind, seed, images by sha256."""
    metrics: dict[str, Any]
    """What the training measured, by the images it was measured on, under the metrics' true names."""
    software: dict[str, str]
    """Versions of the packages that made the bundle."""
    comparison: dict[str, Any] = Field(default_factory=dict)
    """Largest differences between the checkpoint's own outputs and this bundle's, on which frames."""
    citation: str = ""
    """Whom to cite for the data."""


class Manifest(FrozenModel):
    """Everything about a bundle that is not weights.

    `thresholds` has the same keys in the same order as `classes`, which is the order of the output channels.
    `files` holds the sha256 of every other file, by its path in the bundle.
    `id` is the sha256 of the canonical manifest without it.
    """

    format: Literal[1] = FORMAT
    id: str = ""
    name: str = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=1)
    input: InputSpec
    masks: MaskSize
    thresholds: dict[str, Threshold]
    precision: Precision
    tolerances: dict[Precision, Tolerance]
    made_from: MadeFrom
    files: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if tuple(self.thresholds) != self.classes:
            raise ValueError(f"thresholds are for {list(self.thresholds)}, expected one per class {list(self.classes)}")
        if self.precision not in self.tolerances:
            raise ValueError(f"tolerances has no entry for the precision {self.precision}")
        return self

    def sealed(self) -> "Manifest":
        """Return the same manifest as it will be read back, with its id filled in."""
        as_read = Manifest.model_validate_json(self.model_dump_json())
        return as_read.model_copy(update={"id": as_read.computed_id()})

    def computed_id(self) -> str:
        """Compute the id: sha256 of the canonical JSON (no id, no spaces, keys sorted, UTF-8)."""
        content = self.model_dump(mode="json", exclude={"id"})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> str:
        """Write the manifest as it stands in `manifest.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(path: Path) -> Manifest:
    """Read and verify one manifest.

    Raises BundleDamaged if it is missing, no JSON, or its id does not match; BundleFormat for another format version,
    an unknown key or a value out of range.
    """
    content = _parsed(path)
    found = content.get("format")
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        advice = "update edge-inspect on this machine" if newer else "export the bundle again"
        raise BundleFormat(f"{path}: format: found {found!r}, expected {FORMAT}; {advice}")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise BundleFormat(f"{path}: {first_problem(error)}; export the bundle again, do not edit it") from None
    expected = manifest.computed_id()
    if manifest.id != expected:
        raise BundleDamaged(
            f"{path}: id: found {manifest.id[:12]}…, expected {expected[:12]}… for this content; "
            "the manifest was changed after export: copy the bundle again"
        )
    return manifest


def _parsed(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BundleDamaged(f"{path}: found no such file, expected a bundle's manifest; check the path") from None
    except OSError as error:
        raise BundleDamaged(f"{path}: cannot be read ({error.strerror}); check the disk and the permissions") from None
    except ValueError as error:
        raise BundleDamaged(f"{path}: is not JSON ({error}); copy the bundle again") from None
    if not isinstance(content, dict):
        raise BundleDamaged(f"{path}: found a JSON {type(content).__name__}, expected an object; copy the bundle again")
    return content


def first_problem(error: ValidationError) -> str:
    """Say one problem of a validation in one line: key, found, expected; an unknown key before all others.

    A misspelt key is also a missing one, and it is the misspelling that has to be mended.
    """
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in problem["loc"]) or "content"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "value_error":  # said by a check of our own, with what was found
        said = str(problem["ctx"]["error"])
        return f"{key}: {said}" if problem["loc"] else said
    return f"{key}: found {problem['input']!r}, expected: {problem['msg']}"
