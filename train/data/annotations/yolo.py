"""Reads YOLO segmentation labels: a text file of normalised polygons for each picture.

Format: docs.ultralytics.com, "Instance Segmentation Datasets". Both arrangements of folders are read: images/ and
labels/ with the same sub-folders (Ultralytics), and train/, valid/, test/ with an images/ and a labels/ each
(Roboflow).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from train.data.annotations.plain_folder import (
    ImportedImage,
    ImportSummary,
    PictureFrame,
    merged,
    picture_frame,
    write_plain_folder,
)
from train.data.annotations.shapes import Boxes, box, polygon
from train.data.dataset import Masks
from train.data.files import files, pictures, read_text
from train.errors import DataError

CLASS_FILES = ("data.yaml", "dataset.yaml", "classes.txt")
_IMAGES, _LABELS = "images", "labels"
_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,20})?(e-?\d{1,2})?", re.IGNORECASE)


def import_yolo(directory: Path, out: Path, boxes: Boxes = "refuse") -> ImportSummary:
    """Write YOLO segmentation labels as a plain folder `out`; a picture without a label file is good.

    Raises DataError for a box where `boxes` refuses it, a class without a name, a label file without its picture,
    and coordinates outside of the picture.
    """
    names = _class_names(directory)
    images, labels = _in_folders(directory, _IMAGES), _in_folders(directory, _LABELS)
    if not images:
        raise DataError(f"{directory}: found no picture in a folder images/, expected images/ and labels/ of YOLO")
    for key, file in labels.items():
        if key not in images:
            raise DataError(f"{file}: found no picture {key}.* for it, expected one in {_IMAGES}/; restore it")
    if not labels:
        raise DataError(f"{directory}: found no *.txt in a folder labels/, expected one for each picture with a defect")
    without = len(images) - len(labels)
    notes = [f"{without} pictures without a label file: taken as good"] if without else []
    return write_plain_folder(_read(images, labels, names, boxes), names, out, str(directory), notes)


def _class_names(directory: Path) -> list[str]:
    for name in CLASS_FILES:
        file = directory / name
        if file.is_file():
            text = read_text(file)
            return text.strip().splitlines() if file.suffix == ".txt" else _yaml_names(text, file)
    raise DataError(f"{directory}: found none of {', '.join(CLASS_FILES)}, expected one with the classes; add it")


def _yaml_names(text: str, file: Path) -> list[str]:
    """The entry `names`: [a, b] in one line, or one a line as `- a` or `0: a`."""
    lines = [line.partition(" #")[0].rstrip() for line in text.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("names:")]
    if len(starts) != 1:
        raise DataError(f"{file}: found {len(starts)} entries 'names', expected one with the classes")
    inline = lines[starts[0]].removeprefix("names:").strip()
    if inline:
        if not (inline.startswith("[") and inline.endswith("]")):
            raise DataError(f"{file}: found names: {inline:.40}, expected [a, b, ...] in one line, or a name a line")
        return [name.strip().strip("'\"") for name in inline[1:-1].split(",")]
    names: list[str] = []
    for line in lines[starts[0] + 1 :]:
        found = re.fullmatch(r"\s*(?:-\s+|(\d{1,6}):\s*)(.+)", line)
        if found is None:
            break
        if found[1] is not None and int(found[1]) != len(names):
            raise DataError(f"{file}: found class {found[1]} in the place of {len(names)}, expected them in order")
        names.append(found[2].strip().strip("'\""))
    return names


def _in_folders(directory: Path, name: str) -> dict[str, Path]:
    """Pictures, or text files, in folders of this name, by their path without that folder and without suffix."""
    found: dict[str, Path] = {}
    for folder in sorted(path for path in directory.rglob(name) if path.is_dir()):
        inside = pictures(folder) if name == _IMAGES else _texts(folder)
        above = folder.parent.relative_to(directory)
        found |= {(above / key).as_posix(): path for key, path in inside.items()}
    return found


def _texts(folder: Path) -> dict[str, Path]:
    texts = (path for path in files(folder) if path.suffix.lower() == ".txt" and path.name not in CLASS_FILES)
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in texts}


def _read(
    images: Mapping[str, Path], labels: Mapping[str, Path], names: Sequence[str], boxes: Boxes
) -> Iterator[ImportedImage]:
    for key, path in images.items():
        file = labels.get(key)
        name = key + path.suffix
        lines = [] if file is None else [line for line in read_text(file).splitlines() if line.strip()]
        if not lines:
            yield ImportedImage(path, name, {})
            continue
        frame = picture_frame(path, None, str(file))
        shapes = (
            _shape(line, names, frame, boxes, f"{file}, line {number}") for number, line in enumerate(lines, start=1)
        )
        yield ImportedImage(path, name, merged(shapes, str(file)))


def _shape(line: str, names: Sequence[str], frame: PictureFrame, boxes: Boxes, where: str) -> tuple[str, Masks | None]:
    kind, *words = line.split()
    if not kind.isdecimal() or len(kind) > 6 or int(kind) >= len(names):
        raise DataError(f"{where}: found the class {kind:.20}, expected 0 to {len(names) - 1}; correct the label")
    if not all(_NUMBER.fullmatch(word) for word in words):
        raise DataError(f"{where}: found coordinates that are no numbers, expected x and y of each point; correct it")
    if len(words) % 2:
        raise DataError(f"{where}: found {len(words)} coordinates, expected x and y of each point; correct the label")
    corners = np.array([float(word) for word in words]).reshape(-1, 2) * [frame.width, frame.height]
    if len(words) == 4:
        centre, half = corners[0], corners[1] / 2
        return names[int(kind)], box([centre - half, centre + half], boxes, frame.height, frame.width, where)
    return names[int(kind)], polygon(corners, frame.height, frame.width, where)
