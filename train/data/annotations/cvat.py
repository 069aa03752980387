"""Reads CVAT annotations, "CVAT for images 1.1": polygons, masks, ellipses and boxes in one XML file.

Format: docs.cvat.ai, "CVAT for images".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from train.data.annotations.documents import number, read_xml, whole_number
from train.data.annotations.plain_folder import (
    ImportedImage,
    ImportSummary,
    PictureFrame,
    merged,
    not_listed,
    picture_frame,
    write_plain_folder,
)
from train.data.annotations.shapes import Boxes, box, box_corners, box_run_lengths, ellipse, polygon
from train.data.dataset import Masks
from train.data.names import check_class_names, check_file_name, shown
from train.errors import DataError

_SHAPES = ("polygon", "mask", "ellipse", "box")


@dataclass(frozen=True)
class CvatImage:
    """An <image> of the file."""

    path: Path
    name: str
    element: Element


def import_cvat(file: Path, images: Path, out: Path, boxes: Boxes = "refuse") -> ImportSummary:
    """Write the annotations of a CVAT file as a plain folder `out`; an image without a shape is good.

    Raises DataError for a video's tracks, a shape without an area, a label that the file does not list, a picture that
    is missing, there twice or of another size, and a box where `boxes` refuses it.
    """
    root = read_xml(file, "annotations")
    if root.find("track") is not None:
        raise DataError(f"{file}: found the tracks of a video, expected images; export 'CVAT for images 1.1'")
    entries = _images(root, images, file)
    classes = _classes(root, entries, file)
    notes = not_listed(images, {entry.path for entry in entries})
    return write_plain_folder(_read(entries, file, boxes), classes, out, str(file), notes)


def _images(root: Element, folder: Path, file: Path) -> list[CvatImage]:
    entries: dict[str, CvatImage] = {}
    for element in root.findall("image"):
        name = element.get("name", "").replace("\\", "/").removeprefix("./")
        check_file_name(name, str(file))
        if name in entries:
            raise DataError(f"{file}: found two images {shown(name)}, expected names that differ; export each task")
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"{path}: found no such image, expected it by {file}; restore it, or name the folder of the images "
                "with --images"
            )
        entries[name] = CvatImage(path, name, element)
    if not entries:
        raise DataError(f"{file}: found no <image>, expected one for each picture; export 'CVAT for images 1.1'")
    return list(entries.values())


def _classes(root: Element, entries: list[CvatImage], file: Path) -> list[str]:
    """The labels that the file lists; those of its shapes where it lists none."""
    stated = [label.findtext("name", "") for label in root.findall("./meta//labels/label")]
    check_class_names(dict.fromkeys(stated), str(file))
    used = {shape.get("label", "") for entry in entries for shape in entry.element}
    missing = sorted(used.difference(stated)) if stated else []
    if missing:
        raise DataError(
            f"{file}: found the label {shown(missing[0])}, expected one of {', '.join(stated)}; export it again"
        )
    return sorted(set(stated) or used)


def _read(entries: list[CvatImage], file: Path, boxes: Boxes) -> Iterator[ImportedImage]:
    for entry in entries:
        where = f"{file}, {entry.name}"
        stated = (_whole(entry.element, "height", where), _whole(entry.element, "width", where))
        frame = picture_frame(entry.path, stated, where)
        masks = (
            (shape.get("label", ""), frame.upright(_mask(shape, frame, boxes, f"{where}, {shape.tag:.40}")))
            for shape in entry.element
        )
        yield ImportedImage(entry.path, entry.name, merged(masks, where))


def _mask(shape: Element, frame: PictureFrame, boxes: Boxes, where: str) -> Masks | None:
    height, width = frame.height, frame.width
    if shape.tag == "polygon":
        points = [pair.split(",") for pair in shape.get("points", "").split(";")]
        corners = [[number(one, "a point", where) for one in pair] for pair in points]
        return polygon(corners, height, width, where)
    if shape.tag == "ellipse":
        cx, cy, rx, ry = _numbers(shape, ("cx", "cy", "rx", "ry"), where)
        return ellipse((cx, cy), (rx, ry), _turn(shape, where), height, width, where)
    if shape.tag == "box":
        left, top, right, bottom = _numbers(shape, ("xtl", "ytl", "xbr", "ybr"), where)
        middle, sides = ((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top)
        return box(box_corners(middle, sides, _turn(shape, where), where), boxes, height, width, where)
    if shape.tag == "mask":
        left, top, across, down = (_whole(shape, name, where) for name in ("left", "top", "width", "height"))
        counts = [whole_number(count, "a run length", where) for count in shape.get("rle", "").split(",")]
        return box_run_lengths(counts, (left, top), (across, down), height, width, where)
    raise DataError(
        f"{where}: found the shape {shape.tag:.40}, expected {', '.join(_SHAPES)}; draw an outline, or remove the shape"
    )


def _numbers(shape: Element, names: Iterable[str], where: str) -> list[float]:
    return [number(shape.get(name), name, where) for name in names]


def _whole(element: Element, name: str, where: str) -> int:
    return whole_number(element.get(name), name, where)


def _turn(shape: Element, where: str) -> float:
    return number(shape.get("rotation", "0"), "rotation", where)
