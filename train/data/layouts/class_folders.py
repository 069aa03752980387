"""Folders per class: pictures in `good/` and in a folder named like each defect, with masks or without."""

from pathlib import Path

from bundle import SUFFIXES
from train.data.dataset import Dataset, MaskFile, NotOutlined, Outline, Sample
from train.data.files import Refuse, pictures, raise_error, unused_files
from train.data.layouts.class_labels import GOOD
from train.data.layouts.mask_folder import MASKS, PATTERN_S, SETTINGS, FolderSettings, parts_of, read_settings
from train.data.names import check_class_names
from train.errors import DataError


def is_class_folders(directory: Path) -> bool:
    """Whether the folder has this layout."""
    return (directory / GOOD).is_dir()


def read_class_folders(directory: Path, refuse: Refuse = raise_error, pattern_s: float = PATTERN_S) -> Dataset:
    """Read `good/` and `<class>/` (with sub-folders), masks in `masks/<class>/`, and `dataset.toml`.

    A picture without a mask under its name has the class of its folder and no outline (see `NotOutlined`).
    The part of a picture is found in its path below `directory`, such as `good/0017`.

    Raises DataError for a folder that is no listed class or cannot be a class, or without a picture. Refuses a mask
    without its picture, a name that the pattern does not fit, and a picture elsewhere.
    """
    settings = read_settings(directory / SETTINGS)
    folders = sorted(path.name for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = tuple(name for name in folders if name not in (GOOD, MASKS))
    classes = settings.classes or found
    check_class_names(classes, str(directory / SETTINGS if settings.classes else directory))
    _check_listed(directory, found, classes)
    images = {name: pictures(directory / name, refuse) for name in (GOOD, *classes)}
    for name, inside in images.items():
        if not inside:
            raise DataError(
                f"{directory / name}: found no image, expected {', '.join(sorted(SUFFIXES))} of parts that are "
                f"{GOOD if name == GOOD else 'of this class'}; add some or remove the folder"
            )
    masks = {name: pictures(directory / MASKS / name, refuse) for name in classes}
    _check_masks(images, masks, refuse)
    paths = {f"{name}/{key}": path for name, inside in images.items() for key, path in inside.items()}
    parts = parts_of(paths, settings.part, directory, pattern_s, refuse)
    samples = tuple(
        Sample(paths[place], part, _outlines(place, classes, masks, settings), settings.bits)
        for place, part in parts.items()
    )
    used = {directory / SETTINGS, *paths.values(), *(path for one in masks.values() for path in one.values())}
    return Dataset(directory.resolve().name, classes, samples, settings.citation, unused_files(directory, used, refuse))


def _check_listed(directory: Path, found: tuple[str, ...], classes: tuple[str, ...]) -> None:
    masked = [path.name for path in (directory / MASKS).glob("*") if path.is_dir()]
    for name in (*found, *masked):
        if name not in classes:
            where = directory / name if name in found else directory / MASKS / name
            raise DataError(
                f"{where}: found an unknown class folder, expected one of {', '.join((GOOD, *classes))}; rename it"
            )


def _check_masks(images: dict[str, dict[str, Path]], masks: dict[str, dict[str, Path]], refuse: Refuse) -> None:
    for name, drawn in masks.items():
        for key, path in drawn.items():
            if key not in images[name]:
                refuse(
                    DataError(
                        f"{path}: found a mask without its image {name}/{key}.*; add the image or remove the mask"
                    )
                )


def _outlines(
    place: str, classes: tuple[str, ...], masks: dict[str, dict[str, Path]], settings: FolderSettings
) -> tuple[Outline | None, ...]:
    """The outlines of the picture at `place`, folder/key, in the order of the classes."""
    folder, _, key = place.partition("/")
    mask = masks[folder].get(key) if folder in masks else None
    own = NotOutlined() if mask is None else MaskFile(mask, may_be_empty=False, rule=settings.masks)
    return tuple(own if name == folder else None for name in classes)
