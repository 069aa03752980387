"""The Severstal layout: `train.csv` with run lengths beside `train_images/`.

Layout and run lengths as the Kaggle competition "Severstal: Steel Defect Detection" (2019) describes them.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.data.dataset import Dataset, Masks, Sample
from train.data.files import Refuse, pictures, raise_error, read_text, unused_files
from train.errors import DataError

CLASSES = ("1", "2", "3", "4")
"""The competition gives the four kinds of defect no names."""

TABLE, IMAGES = "train.csv", "train_images"
_COLUMNS = ["ImageId", "ClassId", "EncodedPixels"]
_CITATION = "Severstal: Steel Defect Detection. Kaggle, 2019."


@dataclass(frozen=True)
class RunLengths:
    """A mask as pairs "start length": pixels counted from 1, down the columns, then to the right."""

    text: str
    where: str
    """File and line it comes from, for messages."""

    def load(self, height: int, width: int) -> Masks:
        """The mask, bool [height, width]. Raises DataError if the run lengths are malformed or of another size."""
        flat = np.zeros(height * width, dtype=np.bool_)
        for start, length in self._runs():
            if start < 1 or length < 1 or start - 1 + length > flat.size:
                raise DataError(
                    f"{self.where}: found the run {start} {length}, expected it to lie within 1 to {flat.size}; "
                    "take the line from the original file"
                )
            flat[start - 1 : start - 1 + length] = True
        return np.asarray(flat.reshape(width, height).T, dtype=np.bool_)

    def _runs(self) -> Iterator[tuple[int, int]]:
        words = self.text.split()
        if not words or len(words) % 2 or not all(word.isdecimal() and len(word) < 12 for word in words):
            shown = self.text if len(self.text) < 40 else f"{self.text[:40]}…"
            raise DataError(f"{self.where}: found the run lengths {shown!r}, expected pairs of whole numbers")
        numbers = [int(word) for word in words]
        return zip(numbers[::2], numbers[1::2], strict=True)


def is_severstal(directory: Path) -> bool:
    """Whether the folder has this layout."""
    return (directory / TABLE).is_file()


def read_severstal(directory: Path, refuse: Refuse = raise_error) -> Dataset:
    """Read `train.csv` and `train_images/`; an image may have several classes, one without a row is good."""
    images = directory / IMAGES
    found = pictures(images, refuse)
    paths = {path.relative_to(images).as_posix(): path for path in found.values()}
    if not paths:
        raise DataError(f"{images}: found no image, expected the training images beside {TABLE}")
    outlines = _outlines(directory / TABLE, set(paths))
    samples = (
        Sample(path, key, tuple(outlines.get((name, known)) for known in CLASSES))
        for key, (name, path) in zip(found, paths.items(), strict=True)
    )
    unused = unused_files(directory, {directory / TABLE, *images.rglob("*")}, refuse, apart=["test_images"])
    return Dataset("severstal", CLASSES, tuple(samples), _CITATION, unused)


def _outlines(table: Path, images: set[str]) -> dict[tuple[str, str], RunLengths]:
    outlines: dict[tuple[str, str], RunLengths] = {}
    for where, image, kind, runs in _rows(table):
        if image not in images:
            raise DataError(f"{where}: found the image {image}, which is not in train_images; restore it")
        if kind not in CLASSES:
            raise DataError(f"{where}: found the class {kind!r}, expected one of {', '.join(CLASSES)}")
        if (image, kind) in outlines:
            raise DataError(f"{where}: found class {kind} of {image} a second time, expected one row for each")
        outlines[image, kind] = RunLengths(runs, where)
    return outlines


def _rows(table: Path) -> Iterator[tuple[str, str, str, str]]:
    """Each row as (where, image, class, run lengths)."""
    reader = csv.reader(read_text(table).splitlines())
    try:
        header = next(reader, [])
        if header != _COLUMNS:
            raise DataError(f"{table}: found the columns {','.join(header)}, expected {','.join(_COLUMNS)}")
        for number, row in enumerate(reader, start=2):
            if len(row) != len(_COLUMNS):
                raise DataError(f"{table}, line {number}: found {len(row)} values, expected {len(_COLUMNS)}")
            yield f"{table}, line {number}", row[0], row[1], row[2]
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: found {error}; restore the file") from None
