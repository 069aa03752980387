"""Imports COCO and LabelMe annotations as a plain folder (`train.data.mask_folder`)."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bundle import SUFFIXES
from train.data.dataset import Masks
from train.errors import DataError

Outlines = dict[tuple[Path, str], Masks]
"""Mask per image and class."""


def import_coco(file: Path, images: Path, out: Path) -> int:
    """Write the annotations of a COCO file (polygons and run lengths) as a plain folder; returns the images written.

    Format: cocodataset.org, "Data format", object detection. Raises DataError for anything that it does not say.
    """
    content = _json(file)
    with _shape_errors(file):
        names = {one["id"]: str(one["name"]) for one in content["categories"]}
        sizes = {one["id"]: (images / one["file_name"], one["height"], one["width"]) for one in content["images"]}
        outlines: Outlines = {}
        for one in content["annotations"]:
            path, height, width = sizes[one["image_id"]]
            mask = _coco_mask(one["segmentation"], height, width, f"{file}, annotation {one['id']}")
            _add(outlines, path, names[one["category_id"]], mask)
    return _write([path for path, _, _ in sizes.values()], outlines, sorted(names.values()), out)


def import_labelme(directory: Path, out: Path) -> int:
    """Write the LabelMe files (*.json beside their images) of a folder as a plain folder; returns the images written.

    Polygons, rectangles and circles count; another shape is refused. An image without a file is good.
    """
    paths = [path for path in sorted(directory.glob("*")) if path.suffix.lower() in SUFFIXES]
    outlines: Outlines = {}
    for file in sorted(directory.glob("*.json")):
        content = _json(file)
        with _shape_errors(file):
            path = directory / Path(content["imagePath"].replace("\\", "/")).name
            for shape in content["shapes"]:
                mask = _labelme_mask(shape, content["imageHeight"], content["imageWidth"], file)
                _add(outlines, path, str(shape["label"]), mask)
            if path not in paths:
                raise DataError(f"{file}: found the image {path.name}, which is not beside it; restore it")
    return _write(paths, outlines, sorted({name for _, name in outlines}), out)


class _shape_errors:
    """Turns a missing key or a value of another kind into one line."""

    def __init__(self, file: Path):
        self.file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError):
            raise DataError(f"{self.file}: found no {error}, expected it; export the annotations again") from error
        if isinstance(error, (TypeError, ValueError, IndexError, AttributeError)):
            raise DataError(f"{self.file}: found another structure ({error}); export the annotations again") from error


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); export the annotations again") from None


def _coco_mask(segmentation: Any, height: int, width: int, where: str) -> Masks:
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        return _runs(_uncompressed(counts) if isinstance(counts, str) else counts, height, width, where)
    mask = np.zeros((height, width), dtype=np.uint8)
    for polygon in segmentation:
        _fill(mask, np.asarray(polygon, dtype=np.float64).reshape(-1, 2))
    return mask.astype(np.bool_)


def _runs(counts: Sequence[int], height: int, width: int, where: str) -> Masks:
    """Lengths of runs that are in turn outside and inside, down the columns."""
    if sum(counts) != height * width:
        raise DataError(f"{where}: found run lengths over {sum(counts)} pixels, expected {height * width}")
    inside = np.arange(len(counts)) % 2 == 1
    return np.asarray(np.repeat(inside, counts).reshape(width, height).T, dtype=np.bool_)


def _uncompressed(text: str) -> list[int]:
    """COCO's compressed run lengths: five bits a character, differences from the fourth on (pycocotools, maskApi.c)."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (bits & 0x10) << (shift - 4)  # sign
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    return counts


def _labelme_mask(shape: Mapping[str, Any], height: int, width: int, file: Path) -> Masks:
    points = np.asarray(shape["points"], dtype=np.float64).reshape(-1, 2)
    mask = np.zeros((height, width), dtype=np.uint8)
    kind = shape.get("shape_type", "polygon")
    if kind == "polygon":
        _fill(mask, points)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = points
        _fill(mask, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
    elif kind == "circle":
        centre, rim = points
        radius = round(float(np.hypot(*(rim - centre))))
        cv2.circle(mask, (round(centre[0]), round(centre[1])), radius, 1, thickness=-1)
    else:
        raise DataError(f"{file}: found the shape {kind}, expected polygon, rectangle or circle; redraw it")
    return mask.astype(np.bool_)


def _fill(mask: "np.ndarray[Any, np.dtype[np.uint8]]", points: "np.ndarray[Any, np.dtype[np.float64]]") -> None:
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)


def _add(outlines: Outlines, path: Path, name: str, mask: Masks) -> None:
    known = outlines.get((path, name))
    outlines[path, name] = mask if known is None else known | mask


def _write(paths: Sequence[Path], outlines: Outlines, classes: Sequence[str], out: Path) -> int:
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out}: found a folder that is not empty; name a new one")
    if len({path.stem for path in paths}) < len(paths):
        raise DataError(f"{out}: found two images of one name in different folders or formats; rename one")
    (out / "images").mkdir(parents=True)
    for name in classes:
        (out / "masks" / name).mkdir(parents=True)
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: found no such image, expected it by the annotations; restore it")
        shutil.copy2(path, out / "images" / path.name)
    for (path, name), mask in outlines.items():
        _, png = cv2.imencode(".png", mask.astype(np.uint8) * 255)
        (out / "masks" / name / f"{path.stem}.png").write_bytes(png.tobytes())
    return len(paths)
