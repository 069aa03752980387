"""A user's own parts: `images/` with `masks/<class>/`, the mask under its image's name."""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bundle import first_problem
from bundle.toml_text import TomlError, parse_toml
from train.data.dataset import Dataset, MaskFile, Sample
from train.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SETTINGS = "dataset.toml"


class FolderSettings(BaseModel):
    """What `dataset.toml` may say; the file may be absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] | None = None
    """In channel order; without it the folders in masks/, in alphabetical order."""
    part: str | None = None
    """A pattern over the image's name without its suffix, whose first group is the part; without it each image is a
    part of its own."""
    citation: str = ""


def is_folder(directory: Path) -> bool:
    """Whether the folder has this layout."""
    return (directory / "images").is_dir()


def read_folder(directory: Path) -> Dataset:
    """Read `images/*`, `masks/<class>/*` and `dataset.toml`; an image without any mask is good.

    Raises DataError for a mask without image, a class that is not listed, or a name that the pattern does not fit.
    An empty mask is refused when it is loaded: it may mean "none of this class" or "not outlined".
    """
    settings = _settings(directory / SETTINGS)
    classes = settings.classes or tuple(sorted(path.name for path in _folders(directory / "masks")))
    if not classes:
        raise DataError(f"{directory / 'masks'}: found no class folder, expected masks/<class>/ for each defect class")
    images = _by_stem(directory / "images")
    if not images:
        raise DataError(f"{directory / 'images'}: found no image, expected {', '.join(IMAGE_SUFFIXES)}")
    masks = {name: _by_stem(directory / "masks" / name) for name in classes}
    _check_masks(directory, classes, images, masks)
    samples = (
        Sample(path, _part_of(path, settings.part), tuple(_outline(masks[name].get(stem)) for name in classes))
        for stem, path in images.items()
    )
    return Dataset(directory.resolve().name, classes, tuple(samples), settings.citation)


def _settings(path: Path) -> FolderSettings:
    if not path.is_file():
        return FolderSettings()
    try:
        settings = FolderSettings.model_validate(parse_toml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        allowed = ", ".join(FolderSettings.model_fields)
        raise DataError(f"{path}: {first_problem(error)}; the keys are {allowed}") from None
    except (OSError, UnicodeDecodeError, TomlError) as error:
        advice = "expected a TOML file, in which a pattern with a backslash stands in single quotes"
        raise DataError(f"{path}: {error}; {advice}") from None
    if settings.part is not None and _groups(settings.part, path) < 1:
        raise DataError(f"{path}: part: found no group in {settings.part!r}, expected one (...) around the part's name")
    return settings


def _groups(pattern: str, path: Path) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise DataError(f"{path}: part: {error} in {pattern!r}; expected a regular expression") from None


def _folders(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*") if path.is_dir() and not path.name.startswith(".")]


def _by_stem(directory: Path) -> dict[str, Path]:
    """Image files by their names without suffix. Raises DataError where two share one."""
    found: dict[str, Path] = {}
    for path in sorted(directory.glob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            if path.stem in found:
                raise DataError(f"{path}: found beside {found[path.stem].name}, expected names that differ; rename one")
            found[path.stem] = path
    return found


def _check_masks(
    directory: Path, classes: tuple[str, ...], images: Mapping[str, Path], masks: Mapping[str, Mapping[str, Path]]
) -> None:
    for folder in _folders(directory / "masks"):
        if folder.name not in classes:
            raise DataError(f"{folder}: found an unknown class folder, expected one of {', '.join(classes)}; rename it")
    for name in classes:
        for stem, path in masks[name].items():
            if stem not in images:
                raise DataError(f"{path}: found a mask without its image images/{stem}.*; add the image or remove it")


def _part_of(path: Path, pattern: str | None) -> str:
    if pattern is None:
        return path.stem
    match = re.search(pattern, path.stem)
    if match is None:
        raise DataError(f"{path}: found the name {path.stem}, expected one with {pattern}, which says the part")
    return match[1]


def _outline(path: Path | None) -> MaskFile | None:
    return None if path is None else MaskFile(path, may_be_empty=False)
