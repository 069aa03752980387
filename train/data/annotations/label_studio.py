"""Reads Label Studio's JSON export: polygons, brush masks, ellipses and rectangles.

Format: labelstud.io, "Label Studio JSON format of annotated tasks". Coordinates are percent of the picture's sides.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from train.data.annotations.brush import brush_mask
from train.data.annotations.documents import listed, read_json, structure_errors, text_of
from train.data.annotations.plain_folder import (
    ImportedImage,
    ImportSummary,
    PictureFrame,
    merged,
    not_listed,
    picture_frame,
    stored_picture,
    write_plain_folder,
)
from train.data.annotations.shapes import Boxes, box, box_corners, corners_of, ellipse, polygon
from train.data.dataset import Masks
from train.data.names import check_class_names, check_file_name
from train.errors import DataError

_KINDS = ("polygonlabels", "brushlabels", "ellipselabels", "rectanglelabels")
"""Types of results; a value has its classes under the same name."""
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""Prefix that Label Studio adds to the name of an uploaded file."""


@dataclass(frozen=True)
class LabelStudioTask:
    """A picture that was annotated."""

    path: Path
    name: str
    where: str
    results: tuple[Mapping[str, Any], ...]


def import_label_studio(file: Path, images: Path, out: Path, boxes: Boxes = "refuse") -> ImportSummary:
    """Write a Label Studio export as a plain folder `out`; a task whose annotation has no result is good.

    A task without an annotation, or whose annotation was skipped, is not taken, and counted in the notes.
    Raises DataError for two annotations of one picture, a result without an area, a picture that is missing, there
    twice or of another size, and a rectangle where `boxes` refuses it.
    """
    content = listed(read_json(file), "the export", file)
    with structure_errors(file):
        done = [(task, results) for task in content if (results := _results(task, file)) is not None]
        names = [_stated_path(task, file) for task, _ in done]
        paths = _located(names, images, file)
        tasks = [
            LabelStudioTask(path, path.relative_to(images).as_posix(), f"{file}, task {task['id']!r:.40}", results)
            for (task, results), path in zip(done, paths, strict=True)
        ]
        _check_once(tasks, file)
        classes = sorted({name for task in tasks for result in task.results for name in _classes(result, task.where)})
        check_class_names(classes, str(file))
        notes = not_listed(images, {task.path for task in tasks})
        open_tasks = len(content) - len(done)
        notes += [f"{open_tasks} tasks without an annotation, or skipped: not taken"] if open_tasks else []
        return write_plain_folder(_read(tasks, boxes), classes, out, str(file), notes)


def _results(task: Mapping[str, Any], file: Path) -> tuple[Mapping[str, Any], ...] | None:
    """The results of the one annotation of a task; None where there is none."""
    where = f"{file}, task {task['id']!r:.40}"
    if "annotations" not in task:
        raise DataError(f"{where}: found no 'annotations', expected them; export 'JSON', not 'JSON-MIN'")
    annotations = listed(task["annotations"], "annotations", where)
    valid = [one for one in annotations if not one.get("was_cancelled")]
    if len(valid) > 1:
        raise DataError(f"{where}: found {len(valid)} annotations of one picture, expected one; keep the right one")
    return tuple(listed(valid[0]["result"], "a result", where)) if valid else None


def _stated_path(task: Mapping[str, Any], file: Path) -> str:
    """The picture's path as the task states it: of a local file, an upload, or a link."""
    data = task["data"]
    texts = [value for value in data.values() if isinstance(value, str)]
    stated = data["image"] if "image" in data else texts[0] if len(texts) == 1 else None
    link = urlsplit(text_of(stated, "the picture of a task", file))
    local = parse_qs(link.query).get("d") if link.path.endswith("/local-files/") else None
    path = (local[0] if local else unquote(link.path)).replace("\\", "/").lstrip("/")
    check_file_name(path, str(file))
    return path


def _located(names: Sequence[str], images: Path, file: Path) -> list[Path]:
    """The pictures below `images`, without the folders that all of the names begin with.

    An upload's prefix is dropped where the picture is there only without it.
    """
    together = [PurePosixPath(name).parts for name in names]
    shared = 0
    while together and all(len(parts) > shared + 1 and parts[shared] == together[0][shared] for parts in together):
        shared += 1
    for dropped in range(shared + 1):
        paths = [_present(images.joinpath(*parts[dropped:])) for parts in together]
        if all(paths):
            return [path for path in paths if path is not None]
    missing = images.joinpath(
        *next(parts for parts, path in zip(together, paths, strict=True) if path is None)[shared:]
    )
    raise DataError(
        f"{missing}: found no such image, expected it by {file}; restore it, or name the folder of the images with "
        "--images"
    )


def _present(path: Path) -> Path | None:
    without = path.with_name(_UPLOADED.sub("", path.name) or path.name)
    return path if path.is_file() else without if without.is_file() else None


def _check_once(tasks: Sequence[LabelStudioTask], file: Path) -> None:
    seen: dict[Path, LabelStudioTask] = {}
    for task in tasks:
        other = seen.setdefault(task.path, task)
        if other is not task:
            raise DataError(f"{task.where}: found the picture {task.name} of {other.where}, expected one task for each")


def _classes(result: Mapping[str, Any], where: str) -> list[str]:
    kind = result["type"]
    if kind not in _KINDS:
        raise DataError(
            f"{where}: found a result of type {kind!r:.40}, expected {', '.join(_KINDS)}; remove it from the annotation"
        )
    names = [text_of(name, "a class", where) for name in listed(result["value"][kind], kind, where)]
    if not names:
        raise DataError(f"{where}: found a region without a class, expected one; name it or remove it")
    return names


def _read(tasks: Sequence[LabelStudioTask], boxes: Boxes) -> Iterator[ImportedImage]:
    for task in tasks:
        with structure_errors(task.where):
            stored_picture(task.path, task.where)
            masks = (
                (name, mask)
                for result in task.results
                for mask in [_mask(result, task, boxes)]
                for name in _classes(result, task.where)
            )
            yield ImportedImage(task.path, task.name, merged(masks, task.where))


def _mask(result: Mapping[str, Any], task: LabelStudioTask, boxes: Boxes) -> Masks | None:
    where = f"{task.where}, region {result.get('id')!r:.40}"
    turn = result.get("image_rotation", 0)
    if turn != 0:
        raise DataError(f"{where}: found a picture turned by {turn!r:.20} degrees, expected 0; turn it back")
    frame = picture_frame(task.path, (result["original_height"], result["original_width"]), where)
    return frame.upright(_drawn(result["type"], result["value"], frame, boxes, where))


def _drawn(kind: str, value: Mapping[str, Any], frame: PictureFrame, boxes: Boxes, where: str) -> Masks | None:
    height, width = frame.height, frame.width
    scale = np.array([width, height]) / 100
    if kind == "brushlabels":
        return brush_mask(listed(value["rle"], "rle", where), height, width, where)
    if kind == "polygonlabels":
        if not value.get("closed", True):
            raise DataError(f"{where}: found an outline that is not closed, expected a closed one; close or remove it")
        return polygon(corners_of(value["points"], where) * scale, height, width, where)
    ((x, y),) = corners_of([value["x"], value["y"]], where) * scale
    degrees = float(value.get("rotation", 0))
    if kind == "ellipselabels":
        radii = corners_of([value["radiusX"], value["radiusY"]], where) * scale
        return ellipse((x, y), radii, degrees, height, width, where)
    ((across, down),) = corners_of([value["width"], value["height"]], where) * scale
    corners = box_corners((x, y), (across, down), degrees, where, about="corner")
    return box(corners, boxes, height, width, where)
