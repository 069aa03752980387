"""Reads COCO annotations: polygons, run lengths and boxes; one file, or Roboflow's folders.

Format: cocodataset.org, "Data format", object detection.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.data.annotations.documents import listed, read_json, structure_errors, text_of
from train.data.annotations.plain_folder import (
    ImportedImage,
    ImportSummary,
    PictureFrame,
    merged,
    not_listed,
    picture_frame,
    write_plain_folder,
)
from train.data.annotations.shapes import Boxes, box, box_corners, polygon, run_lengths, uncompressed
from train.data.dataset import Masks
from train.data.names import check_class_names, check_file_name, shown
from train.errors import DataError

ROBOFLOW = "_annotations.coco.json"
"""The file in each of Roboflow's folders train/, valid/ and test/, beside its pictures."""


@dataclass(frozen=True)
class CocoImage:
    """An entry of "images", with its annotations."""

    path: Path
    name: str
    size: tuple[object, object]
    """height, width"""
    annotations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class CocoDocument:
    """One file of annotations."""

    file: Path
    names: Mapping[Any, str]
    """Class by the id of its category."""
    images: tuple[CocoImage, ...]
    notes: tuple[str, ...]


def import_coco(file: Path, images: Path, out: Path, boxes: Boxes = "refuse") -> ImportSummary:
    """Write the annotations of a COCO file as a plain folder `out`; `file_name` is looked up below `images`.

    file: or a folder in which `ROBOFLOW` stands beside its pictures, in sub-folders as well.
    Raises DataError for an annotation without an outline in its picture, an id or name that is there twice, an id that
    is not there, a size that is not the picture's, and a missing picture.
    """
    if file.is_dir():
        found = sorted(file.rglob(ROBOFLOW))
        if not found:
            raise DataError(f"{file}: found no {ROBOFLOW}, expected it beside the pictures, or the name of a COCO file")
        documents = [_document(one, one.parent, one.parent.relative_to(file)) for one in found]
    else:
        documents = [_document(file, images, Path())]
    classes = sorted({name for document in documents for name in document.names.values()})
    notes = [note for document in documents for note in document.notes]
    return write_plain_folder(_read(documents, boxes), classes, out, str(file), notes)


def _document(file: Path, images: Path, below: Path) -> CocoDocument:
    """Read one file; its pictures are written to the folder `below`."""
    content = read_json(file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: found {content!r:.40}, expected images, categories and annotations; export COCO")
    with structure_errors(file):
        used = Counter(one["category_id"] for one in listed(content["annotations"], "annotations", file))
        names = _categories(listed(content["categories"], "categories", file), used, file)
        check_class_names(names.values(), str(file))
        entries = _images(content, images, below, file)
        notes = not_listed(images, {entry.path for entry in entries})
        roots = [one["name"] for one in content["categories"] if one["id"] not in names]
        notes += [f"category {shown(name)} is above the others and has no outline: not a class" for name in roots]
        return CocoDocument(file, names, tuple(entries), tuple(notes))


def _categories(categories: list[Any], used: Mapping[Any, int], file: Path) -> dict[Any, str]:
    """Names by id; a category without outlines that the others name as theirs is left out (Roboflow writes one)."""
    names: dict[Any, str] = {}
    above = {one.get("supercategory") for one in categories if used[one["id"]]}
    for one in categories:
        if one["id"] in names:
            raise DataError(f"{file}: found two categories with the id {one['id']}, expected one; export them again")
        name = text_of(one["name"], "a category's name", file)
        if used[one["id"]] or name not in above:
            names[one["id"]] = name
    return names


def _images(content: Mapping[str, Any], folder: Path, below: Path, file: Path) -> list[CocoImage]:
    annotations = defaultdict(list)
    for one in content["annotations"]:
        annotations[one["image_id"]].append(one)
    entries: dict[Any, CocoImage] = {}
    for one in listed(content["images"], "images", file):
        if one["id"] in entries:
            raise DataError(f"{file}: found two images with the id {one['id']}, expected one; export them again")
        name = text_of(one["file_name"], "a file_name", file).replace("\\", "/").removeprefix("./")
        check_file_name(name, str(file))
        entries[one["id"]] = CocoImage(
            folder / name,
            (below / name).as_posix(),
            (one["height"], one["width"]),
            tuple(annotations.pop(one["id"], ())),
        )
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name}: found no such image, expected it by {file}; restore it, or name the folder of the "
                "images with --images"
            )
    if annotations:
        image, (first, *_) = next(iter(annotations.items()))
        raise DataError(f"{file}, annotation {first['id']}: found the image id {image!r:.40}, which no image has")
    return list(entries.values())


def _read(documents: Iterable[CocoDocument], boxes: Boxes) -> Iterator[ImportedImage]:
    for document in documents:
        with structure_errors(document.file):
            for entry in document.images:
                yield ImportedImage(entry.path, entry.name, _masks(entry, document, boxes))


def _masks(entry: CocoImage, document: CocoDocument, boxes: Boxes) -> dict[str, Masks | None]:
    file = document.file
    frame = picture_frame(entry.path, entry.size, str(file))
    wheres = [f"{file}, annotation {one.get('id')!r:.40}" for one in entry.annotations]
    masks = (
        (_category(one, document.names, file), frame.upright(_mask(one, frame, boxes, where)))
        for one, where in zip(entry.annotations, wheres, strict=True)
    )
    return merged(masks, f"{file}, {entry.name}")


def _category(one: Mapping[str, Any], names: Mapping[Any, str], file: Path) -> str:
    if one["category_id"] not in names:
        raise DataError(
            f"{file}, annotation {one.get('id')!r:.40}: found the category {one['category_id']!r:.40}, expected one of "
            f"{', '.join(str(known) for known in names)}; export the annotations again"
        )
    return names[one["category_id"]]


def _mask(one: Mapping[str, Any], frame: PictureFrame, boxes: Boxes, where: str) -> Masks | None:
    segmentation = one.get("segmentation")
    if isinstance(segmentation, Mapping):
        size, counts = segmentation["size"], segmentation["counts"]
        if list(size) != [frame.height, frame.width]:
            raise DataError(
                f"{where}: found run lengths of {size!r:.40}, expected [{frame.height}, {frame.width}] as its image; "
                "export the annotations again"
            )
        runs = uncompressed(counts, where) if isinstance(counts, str) else listed(counts, "counts", where)
        return run_lengths(runs, frame.height, frame.width, where)
    outlines = [] if segmentation is None else listed(segmentation, "segmentation", where)
    if not any(outlines):
        if "bbox" not in one:
            raise DataError(f"{where}: found neither outline nor box, expected an outline; draw it again or remove it")
        x, y, across, down = one["bbox"]
        corners = box_corners((x + across / 2, y + down / 2), (across, down), 0, where)
        return box(corners, boxes, frame.height, frame.width, where)
    masks = [polygon(outline, frame.height, frame.width, where) for outline in outlines]
    return np.asarray(np.logical_or.reduce(masks))
