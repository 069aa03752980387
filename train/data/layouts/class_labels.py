"""Classes of images without outlines: the file `labels.csv` in the plain folder layout."""

import csv
from collections.abc import Iterator
from pathlib import Path

from bundle import OTHER_SUFFIXES, SUFFIXES
from train.data.files import read_text
from train.data.names import check_class_names
from train.errors import DataError

LABELS = "labels.csv"
COLUMNS = ("image", "class")
GOOD = "good"
"""Class of an image without a defect; an image without a line is good as well."""


def read_class_labels(path: Path) -> dict[str, frozenset[str]]:
    """Classes of each image, by its path below `images/` without the suffix; empty without the file.

    One line per image and class, under `COLUMNS`; further columns are not read. Raises DataError for a file without
    these columns, a line without one of them, or an image that is good and defective.
    """
    if not path.exists():
        return {}
    classes: dict[str, set[str]] = {}
    for number, image, name in _lines(path):
        if not image or not name:
            raise DataError(f"{path}: line {number}: found {image!r}, {name!r}, expected an image and its class")
        classes.setdefault(_key(image), set()).add(name)
    check_class_names(sorted(set().union(*classes.values()) - {GOOD}), str(path))
    for key, names in classes.items():
        if GOOD in names and len(names) > 1:
            raise DataError(f"{path}: found {key} good and {', '.join(sorted(names - {GOOD}))}, expected one of them")
    return {key: frozenset(names - {GOOD}) for key, names in classes.items()}


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number, image and class of each line."""
    reader = csv.DictReader(read_text(path).splitlines(), skipinitialspace=True)
    try:
        found = list(reader.fieldnames or ())
        if any(found.count(name) != 1 for name in COLUMNS):
            raise DataError(
                f"{path}: found {', '.join(found) or 'no line'}, expected a first line with the columns "
                f"{', '.join(COLUMNS)}, once each and separated by commas"
            )
        for number, line in enumerate(reader, start=2):
            image, name = ((line[column] or "").strip() for column in COLUMNS)
            yield number, image, name
    except csv.Error as error:
        raise DataError(
            f"{path}: line {reader.line_num}: found {error}; close the quotes, or restore the file"
        ) from None


def _key(image: str) -> str:
    """Path of an image without its suffix; a name may contain other dots."""
    path = Path(image)
    return (path.with_suffix("") if path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES else path).as_posix()
