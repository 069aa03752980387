"""Reads LabelMe annotations: a JSON file beside each picture, with sub-folders."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from train.data.annotations.documents import listed, read_json, structure_errors, text_of
from train.data.annotations.plain_folder import (
    ImportedImage,
    ImportSummary,
    PictureFrame,
    merged,
    picture_frame,
    stored_picture,
    write_plain_folder,
)
from train.data.annotations.shapes import circle, polygon, rectangle, stored_mask
from train.data.dataset import Masks
from train.data.files import files, pictures
from train.data.names import check_class_names
from train.errors import DataError

_SHAPES = {"polygon": polygon, "rectangle": rectangle, "circle": circle}


def import_labelme(directory: Path, out: Path) -> ImportSummary:
    """Write the LabelMe files of a folder and its sub-folders as a plain folder `out`.

    Polygons, rectangles, circles and masks count; lines and points are refused. An image without a file is good.
    Raises DataError for a file that names another picture than the one beside it, or states another size.
    """
    images = pictures(directory)
    documents: dict[str, Path] = {}
    for file in files(directory):
        if file.suffix.lower() == ".json":
            key = file.relative_to(directory).with_suffix("").as_posix()
            if key not in images:
                raise DataError(f"{file}: found no picture {Path(key).name}.* beside it, expected one; restore it")
            documents[key] = file
    if not documents:
        raise DataError(f"{directory}: found no *.json, expected LabelMe's files beside their pictures")
    classes = sorted({label for file in documents.values() for label in _labels(file)})
    check_class_names(classes, str(directory))
    without = len(images) - len(documents)
    notes = [f"{without} pictures without a LabelMe file: taken as good"] if without else []
    return write_plain_folder(_read(images, documents, directory), classes, out, str(directory), notes)


def _labels(file: Path) -> Iterator[str]:
    content = read_json(file)
    with structure_errors(file):
        for shape in listed(content["shapes"], "shapes", file):
            yield text_of(shape["label"], "a label", file)


def _read(images: Mapping[str, Path], documents: Mapping[str, Path], directory: Path) -> Iterator[ImportedImage]:
    for key, path in images.items():
        name = path.relative_to(directory).as_posix()
        masks = _masks(documents[key], path) if key in documents else {}
        if key not in documents:
            stored_picture(path, str(directory))
        yield ImportedImage(path, name, masks)


def _masks(file: Path, path: Path) -> dict[str, Masks | None]:
    content = read_json(file)
    with structure_errors(file):
        named = text_of(content["imagePath"], "imagePath", file).replace("\\", "/").rpartition("/")[2]
        if named != path.name:
            raise DataError(
                f"{file}: found outlines of {named!r:.80}, expected those of {path.name} beside it; "
                "rename the file as its picture, or annotate again"
            )
        height, width = content.get("imageHeight"), content.get("imageWidth")
        stated = None if height is None and width is None else (height, width)
        frame = picture_frame(path, stated, str(file))
        masks = ((shape["label"], frame.upright(_mask(shape, frame, file))) for shape in content["shapes"])
        return merged(masks, str(file))


def _mask(shape: Mapping[str, Any], frame: PictureFrame, file: Path) -> Masks:
    kind, where = shape.get("shape_type", "polygon"), f"{file}, {shape['label']!r:.40}"
    if kind == "mask":
        text = text_of(shape.get("mask"), "a mask", where)
        return stored_mask(text, shape["points"], frame.height, frame.width, where)
    if kind not in _SHAPES:
        raise DataError(
            f"{where}: found the shape {kind!r:.40}, expected polygon, rectangle, circle or mask; redraw it"
        )
    return _SHAPES[kind](shape["points"], frame.height, frame.width, where)
