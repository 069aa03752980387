"""Classes of images without outlines: the file `labels.csv` in the plain folder layout."""

import csv
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
    if not path.is_file():
        return {}
    reader = csv.DictReader(read_text(path).splitlines(), skipinitialspace=True)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        found = ", ".join(reader.fieldnames or ()) or "no line"
        raise DataError(f"{path}: found {found}, expected a first line with the columns {', '.join(COLUMNS)}")
    classes: dict[str, set[str]] = {}
    for number, line in enumerate(reader, start=2):
        image, name = ((line[column] or "").strip() for column in COLUMNS)
        if not image or not name:
            raise DataError(f"{path}: line {number}: found {image!r}, {name!r}, expected an image and its class")
        classes.setdefault(_key(image), set()).add(name)
    check_class_names(sorted(set().union(*classes.values()) - {GOOD}), str(path))
    for key, names in classes.items():
        if GOOD in names and len(names) > 1:
            raise DataError(f"{path}: found {key} good and {', '.join(sorted(names - {GOOD}))}, expected one of them")
    return {key: frozenset(names - {GOOD}) for key, names in classes.items()}


def _key(image: str) -> str:
    """Path of an image without its suffix; a name may contain other dots."""
    path = Path(image)
    return (path.with_suffix("") if path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES else path).as_posix()
