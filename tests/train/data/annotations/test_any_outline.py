"""An outline becomes the mask that an independent rasteriser fills, whichever document states it."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzzing import budget
from train.data.annotations.coco import import_coco
from train.data.annotations.cvat import import_cvat
from train.data.annotations.labelme import import_labelme
from train.data.annotations.plain_folder import ImportSummary
from train.data.annotations.voc import import_voc
from train.data.annotations.yolo import import_yolo
from train.data.readers import read_dataset
from train.errors import DataError

HEIGHT, WIDTH = 40, 56
BORDER_PX = 1.25
"""Distance from the outline within which a pixel may be either: corners are rounded to pixels (0.71), and the pixels
that an edge crosses are filled (0.5)."""

Corners = list[tuple[float, float]]


TINY = 1e-18
"""Square of a segment's length in pixels, below which it is a point."""


def filled(corners: Corners) -> tuple[np.ndarray, np.ndarray]:
    """Pixels inside of an outline by the even-odd rule, and their distance from it: bool and float [HEIGHT, WIDTH].

    Crossing number and distance from a segment as in O'Rourke, "Computational Geometry in C", 7.4 and 1.5.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    inside, distance = np.zeros(x.shape, bool), np.full(x.shape, np.inf)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            share = np.divide(y - y0, y1 - y0, out=np.zeros(y.shape), where=crosses)
            inside ^= crosses & (x < x0 + share * (x1 - x0))
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length if length > TINY else np.zeros_like(x)
        along = along.clip(0, 1)
        distance = np.minimum(distance, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
    return inside, distance


def coco(folder: Path, corners: Corners, out: Path) -> ImportSummary:
    image = {"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}
    outline = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": [[value for pair in corners for value in pair]],
    }
    content = {"images": [image], "categories": [{"id": 1, "name": "dent"}], "annotations": [outline]}
    (folder / "coco.json").write_text(json.dumps(content))
    return import_coco(folder / "coco.json", folder, out)


def labelme(folder: Path, corners: Corners, out: Path) -> ImportSummary:
    shape = {"label": "dent", "shape_type": "polygon", "points": corners}
    content = {"imagePath": "a.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": [shape]}
    (folder / "a.json").write_text(json.dumps(content))
    return import_labelme(folder, out)


def yolo(folder: Path, corners: Corners, out: Path) -> ImportSummary:
    for place in ("images", "labels"):
        (folder / place).mkdir()
    (folder / "a.png").rename(folder / "images" / "a.png")
    values = " ".join(f"{x / WIDTH:.9f} {y / HEIGHT:.9f}" for x, y in corners)
    (folder / "labels" / "a.txt").write_text(f"0 {values}\n")
    (folder / "data.yaml").write_text("names: [dent]\n")
    return import_yolo(folder, out)


def cvat(folder: Path, corners: Corners, out: Path) -> ImportSummary:
    points = ";".join(f"{x:.6f},{y:.6f}" for x, y in corners)
    shape = f'<polygon label="dent" points="{points}"/>'
    image = f'<image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">{shape}</image>'
    (folder / "a.xml").write_text(f"<annotations>{image}</annotations>")
    return import_cvat(folder / "a.xml", folder, out)


def voc(folder: Path, corners: Corners, out: Path) -> ImportSummary:
    for place in ("JPEGImages", "Annotations"):
        (folder / place).mkdir()
    (folder / "a.png").rename(folder / "JPEGImages" / "a.png")
    polygon = "".join(f"<p>{value:.6f}</p>" for pair in corners for value in pair)
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    one = f"<object><name>dent</name><polygon>{polygon}</polygon></object>"
    (folder / "Annotations" / "a.xml").write_text(f"<annotation><filename>a.png</filename>{size}{one}</annotation>")
    return import_voc(folder, out)


FORMATS = [coco, labelme, yolo, cvat, voc]


def imported(folder: Path, write: Callable[[Path, Corners, Path], ImportSummary], corners: Corners) -> np.ndarray:
    """Write a picture with its document and import both; returns the mask."""
    (folder / "in").mkdir()
    cv2.imwrite(str(folder / "in" / "a.png"), np.full((HEIGHT, WIDTH), 90, np.uint8))
    write(folder / "in", corners, folder / "out")
    return read_dataset(folder / "out").samples[0].load_masks(HEIGHT, WIDTH)[0]


CORNERS = st.lists(st.tuples(st.floats(-2, WIDTH + 2), st.floats(-2, HEIGHT + 2)), min_size=3, max_size=8)


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
@budget
@given(corners=CORNERS)
def test_any_outline_is_filled_as_another_rasteriser_fills_it(tmp_path: Path, write, corners: Corners) -> None:
    inside, distance = filled(corners)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    try:
        mask = imported(folder, write, corners)
    except DataError:
        assert not (inside & (distance > BORDER_PX)).any()  # else a defect is refused
        return
    apart = (mask != inside) & (distance > BORDER_PX)
    assert not apart.any(), f"{apart.sum()} pixels, first {np.argwhere(apart)[0]}"


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_a_mirrored_or_swapped_outline_would_be_seen(tmp_path: Path, write) -> None:
    corners: Corners = [(4, 6), (50, 8), (30, 30)]
    mask = imported(tmp_path, write, corners)
    for wrong in ([(y, x) for x, y in corners], [(WIDTH - 1 - x, y) for x, y in corners]):
        inside, distance = filled(wrong)
        assert ((mask != inside) & (distance > BORDER_PX)).sum() > 50


def test_an_outline_over_the_edge_is_not_moved(tmp_path: Path) -> None:
    corners: Corners = [(49.8, 19.1), (56.9, 8.2), (55.4, 33.3), (6.9, 38.6), (56.4, 9.7), (51.4, 21.7), (47.3, 17.5)]
    inside, distance = filled(corners)
    assert not ((imported(tmp_path, labelme, corners) != inside) & (distance > BORDER_PX)).any()
