"""Plain folder layout: `images/` with `masks/<class>/`, a mask under the name of its image, or with `labels.csv`."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle import OTHER_SUFFIXES, SUFFIXES, first_problem
from bundle.toml_text import TomlError, parse_toml
from train.data.dataset import Dataset, MaskFile, MaskRule, NotOutlined, Outline, Sample, UnusedFile
from train.data.files import Refuse, pictures, raise_error, read_text, unused_files
from train.data.layouts.class_labels import LABELS, read_class_labels
from train.data.names import check_class_names
from train.errors import DataError

SETTINGS = "dataset.toml"
IMAGES, MASKS = "images", "masks"

_ROBOFLOW_COPY = re.compile(r"((.*/)?(train|valid|test)/)?(?P<original>.+)_[A-Za-z]{3,4}\.rf\.[0-9A-Za-z]{8,64}")
"""Path of a picture in an export of Roboflow, without suffix: name, original suffix, hash of the copy."""

PATTERN_S = 10.0
"""Time for the pattern of the parts over all names; a pattern that backtracks without end is refused."""


class FolderSettings(BaseModel):
    """Content of `dataset.toml`; the file may be absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] | None = None
    """In channel order; without it the folders in masks/, in alphabetical order."""
    part: str | None = None
    """A pattern over the image's path below images/ without its suffix, whose first group is the part; without it each
    image is a part of its own, and Roboflow's copies of an image are one (see `original_of`)."""
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    """Depth of the values in 16-bit images, such as 12."""
    masks: MaskRule = "above-127"
    """Mask values that mean defect; "nonzero" for masks of 0 and 1, and for palettes; "voc" where index 255 is a border
    that is no defect."""
    citation: str = ""


def is_folder(directory: Path) -> bool:
    """Whether the folder has this layout."""
    return (directory / IMAGES).is_dir()


def read_folder(directory: Path, refuse: Refuse = raise_error, pattern_s: float = PATTERN_S) -> Dataset:
    """Read `images/`, `masks/<class>/` (both with sub-folders), `labels.csv` and `dataset.toml`.

    An image without a mask and without a line in `labels.csv` is good; a class that has a line but no mask is not
    outlined (see `NotOutlined`). There is no class where all are good.

    Raises DataError for a class that is not listed or cannot be a folder. Refuses a mask without image, a name that the
    pattern does not fit, and a picture elsewhere. An empty mask is refused when it is loaded: it may
    mean "none of this class" or "not outlined".
    """
    settings = read_settings(directory / SETTINGS)
    labels = read_class_labels(directory / LABELS)
    named = {
        *(path.name for path in _folders(directory / MASKS)),
        *(name for names in labels.values() for name in names),
    }
    classes = settings.classes or tuple(sorted(named))
    check_class_names(classes, str(directory / SETTINGS if settings.classes else directory / MASKS))
    images = pictures(directory / IMAGES, refuse)
    if not images:
        raise DataError(f"{directory / IMAGES}: found no image, expected {', '.join(sorted(SUFFIXES))}")
    masks = {name: pictures(directory / MASKS / name, refuse) for name in classes}
    _check_class_folders(directory, classes)
    _check_masks(images, masks, refuse)
    _check_labels(images, labels, classes, directory / LABELS, refuse)
    _check_good(masks, labels, directory / LABELS, refuse)
    parts = parts_of(images, settings.part, directory, pattern_s, refuse)
    samples = tuple(
        Sample(images[key], part, _outlines(key, classes, masks, labels, settings), settings.bits)
        for key, part in parts.items()
    )
    folders = directory / IMAGES, *(directory / MASKS / name for name in classes)
    used = {directory / SETTINGS, directory / LABELS, *(path for folder in folders for path in folder.rglob("*"))}
    return Dataset(directory.resolve().name, classes, samples, settings.citation, _unused(directory, used, refuse))


def read_settings(path: Path) -> FolderSettings:
    """Read `dataset.toml`, which may be absent. Raises DataError."""
    if not path.is_file():
        return FolderSettings()
    try:
        settings = FolderSettings.model_validate(parse_toml(read_text(path)))
    except ValidationError as error:
        allowed = ", ".join(FolderSettings.model_fields)
        raise DataError(f"{path}: {first_problem(error)}; the keys are {allowed}") from None
    except TomlError as error:
        advice = "expected a TOML file, in which a pattern with a backslash stands in single quotes"
        raise DataError(f"{path}: {error}; {advice}") from None
    if settings.part is not None and _groups(settings.part, path) < 1:
        raise DataError(f"{path}: part: found no group in {settings.part!r}, expected one (...) around the part's name")
    return settings


def _groups(pattern: str, path: Path) -> int:
    try:
        return re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: part: {error} in {pattern!r}; expected a regular expression") from None


def _folders(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*") if path.is_dir() and not path.name.startswith(".")]


def _check_class_folders(directory: Path, classes: tuple[str, ...]) -> None:
    for folder in _folders(directory / MASKS):
        if folder.name not in classes:
            raise DataError(f"{folder}: found an unknown class folder, expected one of {', '.join(classes)}; rename it")


def _check_masks(images: Mapping[str, Path], masks: Mapping[str, Mapping[str, Path]], refuse: Refuse) -> None:
    for named in masks.values():
        for key, path in named.items():
            if key not in images:
                refuse(
                    DataError(
                        f"{path}: found a mask without its image images/{key}.*; add the image or remove the mask"
                    )
                )


def _check_labels(
    images: Mapping[str, Path], labels: Mapping[str, frozenset[str]], classes: Sequence[str], path: Path, refuse: Refuse
) -> None:
    for key, names in labels.items():
        if key not in images:
            refuse(DataError(f"{path}: found the image {key!r}, expected one of {IMAGES}/; add it or remove the line"))
        for name in sorted(names.difference(classes)):
            refuse(DataError(f"{path}: {key}: found the class {name!r}, expected one of {', '.join(classes)}"))


def _check_good(
    masks: Mapping[str, Mapping[str, Path]], labels: Mapping[str, frozenset[str]], path: Path, refuse: Refuse
) -> None:
    for named in masks.values():
        for key, mask in named.items():
            if labels.get(key) == frozenset():
                refuse(DataError(f"{path}: found {key} as good, but its mask {mask}; remove the line or the mask"))


def _unused(directory: Path, used: set[Path], refuse: Refuse) -> tuple[UnusedFile, ...]:
    """Everything else; files without a picture's suffix among the images and masks as well."""
    others = (path for path in sorted(used) if path.is_file() and path.suffix.lower() not in SUFFIXES | OTHER_SUFFIXES)
    notes = tuple(UnusedFile(path, "no picture") for path in others if path.name not in (SETTINGS, LABELS))
    return notes + unused_files(directory, used, refuse)


def parts_of(
    images: Mapping[str, Path], pattern: str | None, directory: Path, most_s: float, refuse: Refuse
) -> dict[str, str]:
    """The part of each image, by its key. Raises DataError where the pattern takes too long."""
    if pattern is None:
        return {key: original_of(key) for key in images}
    parts: dict[str, str] = {}
    for key, part in zip(images, _first_groups(pattern, list(images), directory / SETTINGS, most_s), strict=True):
        if not part:
            expected = f"expected one with {pattern}, which says the part"
            refuse(DataError(f"{images[key]}: found the name {images[key].stem}, {expected}"))
        else:
            parts[key] = part
    return parts


def original_of(key: str) -> str:
    """The picture that Roboflow's export made this one of: `train/a_jpg.rf.0f3e...` is a copy of `a`; else the key.

    Its folders train/, valid/ and test/ do not tell two pictures apart.
    """
    found = _ROBOFLOW_COPY.fullmatch(key)
    return found["original"] if found else key


_MATCH = """
import json, re, sys
pattern, names = json.load(sys.stdin)
print(json.dumps([found[1] if (found := re.search(pattern, name)) else None for name in names]))
"""


def _first_groups(pattern: str, names: Sequence[str], where: Path, most_s: float) -> list[str | None]:
    """The first group of the pattern in each name, matched in a process that a time limit ends."""
    command = [sys.executable, "-I", "-S", "-c", _MATCH]
    try:
        done = subprocess.run(
            command, input=json.dumps([pattern, names]), capture_output=True, text=True, check=True, timeout=most_s
        )
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{where}: part: found no end of matching {pattern!r} after {most_s:g} s, expected a pattern without "
            "repeats inside of repeats"
        ) from None
    groups: list[str | None] = json.loads(done.stdout)
    return groups


def _outlines(
    key: str,
    classes: Sequence[str],
    masks: Mapping[str, Mapping[str, Path]],
    labels: Mapping[str, frozenset[str]],
    settings: FolderSettings,
) -> tuple[Outline | None, ...]:
    """The outlines of one image, in the order of the classes."""
    drawn = (masks[name].get(key) for name in classes)
    return tuple(
        MaskFile(path, may_be_empty=False, rule=settings.masks)
        if path is not None
        else NotOutlined()
        if name in labels.get(key, ())
        else None
        for name, path in zip(classes, drawn, strict=True)
    )
