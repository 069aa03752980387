import json
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.train.data.annotations.drawn import (
    HEIGHT,
    SQUARE,
    WIDTH,
    left_over,
    polygons,
    square,
    with_exif,
    write_images,
)
from train.data.annotations.label_studio import import_label_studio
from train.data.readers import read_dataset
from train.errors import DataError

POINTS = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in zip(SQUARE[::2], SQUARE[1::2], strict=True)]
RECTANGLE = {"x": 20, "y": 12.5, "width": 30, "height": 37.5}


def brush(mask: np.ndarray, word: int = 8) -> list[int]:
    """Encode alpha as Label Studio's brush does: one repeated run for each stretch of values, by bit strings."""
    values = np.zeros((*mask.shape, 4), int)
    values[..., 3] = mask * 255
    flat = values.ravel()
    lengths = [3, 4, 8, 16]
    text = f"{flat.size:032b}{word - 1:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    starts = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    for start, end in pairwise(starts):
        count = end - start - 1
        size = next(index for index, length in enumerate(lengths) if count < 2**length)
        text += f"1{size:02b}{count:0{lengths[size]}b}{flat[start]:0{word}b}"
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


def region(kind: str = "polygonlabels", names: object = ("dent",), **value: object) -> dict[str, object]:
    value = value or {"points": POINTS, "closed": True}
    sides = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {
        "id": "r1",
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        **sides,
        "value": {**value, kind: names},
    }


def task(number: int, name: str, *regions: object) -> dict[str, object]:
    annotations = [{"id": 10 + number, "was_cancelled": False, "result": list(regions)}]
    image = f"/data/local-files/?d=parts/july/{name}"
    return {"id": number, "data": {"image": image}, "annotations": annotations, "predictions": []}


def export(*regions: object) -> list[dict]:
    """Make an export's content: one annotated and one good picture."""
    return [task(1, "a.png", *(regions or [region()])), task(2, "b.png")]


def imported(folder: Path, content: object, **more: str):
    write_images(folder / "in" / "july", "a.png", "b.png")
    file = folder / "in" / "export.json"
    file.write_text(json.dumps(content))
    return import_label_studio(file, folder / "in" / "july", folder / "out", **more)


@pytest.mark.parametrize(
    ("shape", "boxes"),
    [
        (region(), "refuse"),
        (region("brushlabels", format="rle", rle=brush(square())), "refuse"),
        (region("brushlabels", format="rle", rle=brush(square(), word=9)), "refuse"),
        (region("rectanglelabels", **RECTANGLE), "fill"),
        (region("rectanglelabels", **RECTANGLE | {"x": 50, "rotation": 90, "width": 30, "height": 37.5}), "fill"),
    ],
    ids=["polygon", "brush", "brush of 9 bits", "rectangle", "turned rectangle"],
)
def test_an_export_becomes_a_folder_that_reads(tmp_path: Path, shape: dict, boxes: str) -> None:
    summary = imported(tmp_path, export(shape), boxes=boxes)
    assert (summary.images, summary.defective, summary.notes) == (2, 1, ())
    dataset = read_dataset(tmp_path / "out")
    assert [sample.labels for sample in dataset.samples] == [(True,), (False,)]
    np.testing.assert_array_equal(dataset.samples[0].load_masks(HEIGHT, WIDTH)[0], square())


def test_an_ellipse_is_filled(tmp_path: Path) -> None:
    imported(tmp_path, export(region("ellipselabels", x=40, y=50, radiusX=20, radiusY=25, rotation=0)))
    mask = read_dataset(tmp_path / "out").samples[0].load_masks(HEIGHT, WIDTH)[0]
    assert (mask[4, 2:7].all(), mask[2:7, 4].all(), mask[:, 7:].any()) == (True, True, False)


def test_a_rectangle_is_a_class_without_an_outline_where_that_is_asked_for(tmp_path: Path) -> None:
    imported(tmp_path, export(region("rectanglelabels", **RECTANGLE)), boxes="label")
    assert "a.png,dent" in (tmp_path / "out" / "labels.csv").read_text()


def test_tasks_without_an_annotation_are_named_and_not_good(tmp_path: Path) -> None:
    content = export()
    content[1]["annotations"] = []
    summary = imported(tmp_path, content)
    assert summary.images == 1
    assert summary.notes[0].startswith("1 pictures that the file does not list: not taken, first ")
    assert summary.notes[1] == "1 tasks without an annotation, or skipped: not taken"


def test_a_skipped_annotation_is_not_good(tmp_path: Path) -> None:
    content = export()
    content[1]["annotations"][0]["was_cancelled"] = True
    assert imported(tmp_path, content).images == 1


@pytest.mark.parametrize(
    "image",
    [
        "/data/local-files/?d=a.png",
        "/data/local-files/?d=parts%2Fjuly%2Fa.png",
        "/data/local-files/?d=parts\\july\\a.png",
        "/data/upload/3/1a2b3c4d-a.png",
        "http://example.invalid/pictures/a.png?token=x",
        "s3://store/pictures/a.png",
    ],
)
def test_each_way_to_state_a_picture_is_found(tmp_path: Path, image: str) -> None:
    content = export()
    content[0]["data"]["image"] = image
    content[1]["data"]["image"] = image.replace("a.png", "b.png").replace("1a2b", "5a6b")
    imported(tmp_path, content)
    labels = {sample.part: sample.labels for sample in read_dataset(tmp_path / "out").samples}
    assert labels == {"a": (True,), "b": (False,)}


def test_the_same_name_in_two_folders_stays_apart(tmp_path: Path) -> None:
    content = export()
    for number, day in enumerate(("monday", "tuesday")):
        write_images(tmp_path / "in" / "july" / day, "a.png")
        content[number]["data"]["image"] = f"/data/local-files/?d=parts/july/{day}/a.png"
    imported(tmp_path, content)
    labels = {sample.part: sample.labels for sample in read_dataset(tmp_path / "out").samples}
    assert labels == {"monday/a": (True,), "tuesday/a": (False,)}


def second_annotation(content: list[dict]) -> None:
    content[0]["annotations"] *= 2


def json_min(content: list[dict]) -> None:
    content[0] = {"id": 1, "image": "a.png", "label": []}


def picture(image: object):
    def change(content: list[dict]) -> None:
        content[0]["data"]["image"] = image

    return change


def shape(*regions: object):
    def change(content: list[dict]) -> None:
        content[0]["annotations"][0]["result"] = list(regions)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (second_annotation, "task 1: found 2 annotations of one picture, expected one"),
        (json_min, "found no 'annotations', expected them; export 'JSON', not 'JSON-MIN'"),
        (picture("/data/local-files/?d=parts/july/b.png"), "task 2: found the picture b.png of .*task 1"),
        (picture("/data/local-files/?d=parts/july/c.png"), r"c\.png: found no such image"),
        (picture("/data/local-files/?d=../../etc/passwd"), r"found the file name '\.\./\.\./etc/passwd'"),
        (picture(None), "found None as the picture of a task"),
        (shape(region("rectanglelabels", **RECTANGLE)), "region 'r1': found a box without an outline"),
        (shape(region("keypointlabels", x=1, y=1)), "found a result of type 'keypointlabels', expected polygonlabels"),
        (shape(region("choices")), "found a result of type 'choices'"),
        (shape(region(names=[])), "found a region without a class"),
        (shape(region(names=[3])), "found 3 as a class, expected text"),
        (shape(region(names=["../../evil"])), r"found the class name '\.\./\.\./evil'"),
        (shape(region(points=POINTS[:2])), "found an outline of 2 points"),
        (shape(region(points=POINTS, closed=False)), "found an outline that is not closed"),
        (shape(region(points=[[0, 0], [100, 0], [100, 900]])), "found a point at 10, 72"),
        (shape(region() | {"original_width": 99}), r"found the size 99x8 for a\.png"),
        (shape(region() | {"image_rotation": 90}), "found a picture turned by 90 degrees"),
        (shape(region("brushlabels", rle=brush(square())[:-3])), "found run lengths that are cut off"),
        (
            shape(region("brushlabels", rle=brush(square()[1:]))),
            "found 280 values, expected 320, four for each of 10x8",
        ),
        (shape(region("brushlabels", rle=brush(square() & False))), "found a brush mask without a pixel"),
        (shape(region("brushlabels", rle=[300])), "found values that are no bytes"),
        (shape(region("brushlabels", rle="x")), "found 'x' as rle, expected a list"),
        (shape(region("ellipselabels", x=1, y=1, radiusX=-1, radiusY=1)), "found an ellipse of radii"),
        (shape(region(), region("rectanglelabels", **RECTANGLE)), "found a box without an outline"),
    ],
)
def test_a_bad_export_is_one_clear_line(tmp_path: Path, change: Callable[[list[dict]], None], message: str) -> None:
    content = export()
    change(content)
    with pytest.raises(DataError, match=message) as caught:
        imported(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert left_over(tmp_path) == []


def test_an_outline_drawn_on_the_turned_picture_stays(tmp_path: Path) -> None:
    (tmp_path / "in" / "july").mkdir(parents=True)
    with_exif(tmp_path / "in" / "july" / "c.jpg", 6)
    points = [[100 * x / HEIGHT, 100 * y / WIDTH] for x, y in [(2, 1), (5, 1), (5, 4), (2, 4)]]
    turned = region(points=points) | {"original_width": HEIGHT, "original_height": WIDTH}
    imported(tmp_path, [task(1, "c.jpg", turned), task(2, "b.png")])
    mask = read_dataset(tmp_path / "out").samples[-1].load_masks(WIDTH, HEIGHT)[0]
    assert (mask[1:5, 2:6].all(), mask.sum()) == (True, 16)


NUMBERS = st.one_of(st.floats(), st.integers(-(10**20), 10**20), st.integers(-12, 120), st.none(), st.text(max_size=3))
PERCENT = st.lists(st.lists(st.floats(0, 100), min_size=2, max_size=2), min_size=3, max_size=6)
NESTED = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4), max_leaves=12)
KEYS = ["points", "rle", "x", "y", "width", "height", "radiusX", "radiusY", "rotation", "closed"]
KINDS = st.sampled_from(["polygonlabels", "brushlabels", "ellipselabels", "rectanglelabels", "choices"])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=KINDS,
    value=st.dictionaries(st.sampled_from(KEYS), NESTED),
    bits=st.lists(st.integers(0, 255), max_size=12),
    corners=PERCENT,
    how=st.sampled_from(["any", "bits", "valid"]),
)
def test_any_region_is_our_error_or_the_mask_it_states(tmp_path: Path, kind, value, bits, corners, how: str) -> None:
    if how == "bits":
        kind, value = "brushlabels", {"rle": [0, 0, 1, 64, *bits]}
    elif how == "valid":
        kind, value = "polygonlabels", {"points": corners}
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    try:
        imported(place, export(region(kind, **value or {"x": 1})), boxes="fill")
    except DataError:
        assert left_over(place) == []
        return
    mask = read_dataset(place / "out").samples[0].load_masks(HEIGHT, WIDTH)[0]
    assert mask.any()
    if how == "valid":
        np.testing.assert_array_equal(mask, polygons(np.multiply(corners, [WIDTH, HEIGHT]) / 100))
