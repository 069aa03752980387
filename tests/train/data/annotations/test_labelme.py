import base64
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.train.data.annotations.drawn import HEIGHT, WIDTH, left_over, polygons, with_exif, write_images
from train.data.annotations.labelme import import_labelme
from train.data.readers import read_dataset
from train.errors import DataError

SQUARE = [[2, 1], [5, 1], [5, 4], [2, 4]]


def labelme(shape_type: object = "polygon", points: object = SQUARE, **more: object) -> dict[str, object]:
    return {
        "imagePath": "..\\pictures\\a.png",
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        "shapes": [{"label": "dent", "points": points, "shape_type": shape_type, **more}],
    }


def written(folder: Path, content: object) -> Path:
    """Write one annotated and one good picture."""
    write_images(folder / "in", "a.png", "b.png")
    (folder / "in" / "a.json").write_text(json.dumps(content))
    return folder / "in"


def mask_png(mask: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()


CORNER = np.array([[0, 1], [1, 1]], np.uint8)


@pytest.mark.parametrize(
    ("content", "area"),
    [
        (labelme("polygon", SQUARE), 16),
        (labelme("rectangle", [[5, 4], [2, 1]]), 16),
        (labelme("rectangle", SQUARE), 16),
        (labelme("circle", [[4, 4], [4, 6]]), 13),
        (labelme("mask", [[3, 2], [4, 3]], mask=mask_png(CORNER * 255)), 3),
    ],
    ids=["polygon", "rectangle", "rectangle of 4 points", "circle", "mask"],
)
def test_labelme_becomes_a_folder_that_reads(tmp_path: Path, content: dict, area: int) -> None:
    summary = import_labelme(written(tmp_path, content), tmp_path / "out")
    assert (summary.images, summary.defective) == (2, 1)
    assert summary.notes == ("1 pictures without a LabelMe file: taken as good",)
    dataset = read_dataset(tmp_path / "out")
    assert [sample.labels for sample in dataset.samples] == [(True,), (False,)]
    assert dataset.samples[0].load_masks(HEIGHT, WIDTH).sum() == area


def with_label(label: object) -> dict[str, object]:
    content = labelme()
    content["shapes"][0]["label"] = label
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (labelme() | {"imagePath": "b.png"}, r"a\.json: found outlines of 'b\.png', expected those of a\.png"),
        (labelme() | {"imageWidth": 99}, r"found the size 99x8 for a\.png, expected that of the picture, 10x8"),
        (labelme("line", [[0, 0], [1, 1]]), "found the shape 'line', expected polygon, rectangle, circle or mask"),
        (labelme("linestrip"), "found the shape 'linestrip'"),
        (labelme("point", [[1, 1]]), "found the shape 'point'"),
        (labelme("polygon", []), "found an outline of 0 points"),
        (labelme("polygon", [[1, 2], [3, 4]]), "found an outline of 2 points"),
        (labelme("rectangle", [[1, 2], [3, 4], [5, 6]]), "found a rectangle of 3 points"),
        (labelme("circle", [[1, 2]]), "found a circle of 1 points"),
        (labelme("circle", [[4, 4], [4, 1e9]]), "found a circle of radius"),
        (labelme("polygon", [[1, 2], [3, 4], [5, "x"]]), "found points that are no numbers"),
        (labelme("polygon", [[100, 100], [101, 100], [100, 101]]), "found a point at 100, 100"),
        (labelme("mask", [[3, 2], [4, 3]]), "found None as a mask, expected text"),
        (
            labelme("mask", [[3, 2], [5, 3]], mask=mask_png(CORNER)),
            r"found a mask of \(2, 2\), expected one of the box",
        ),
        (labelme("mask", [[3, 2], [4, 3]], mask="no base64!"), "found a mask that cannot be read"),
        (with_label("../../evil"), r"found the class name '\.\./\.\./evil'"),
        (with_label(""), "expected a name that is not empty"),
        (with_label(5), "found 5 as a label, expected text"),
        ({"shapes": []}, "found no class, expected outlines"),
        ([], "found another structure"),
    ],
)
def test_a_bad_document_is_one_clear_line(tmp_path: Path, content: object, message: str) -> None:
    folder = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        import_labelme(folder, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert left_over(tmp_path) == []


def test_a_failure_late_in_the_folder_leaves_nothing(tmp_path: Path) -> None:
    folder = written(tmp_path, labelme())
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"b\.png: found a truncated image"):
        import_labelme(folder, tmp_path / "out")
    assert left_over(tmp_path) == []


def test_day_folders_are_read(tmp_path: Path) -> None:
    for day in ("monday", "tuesday"):
        write_images(tmp_path / "in" / day, "a.png")
    (tmp_path / "in" / "tuesday" / "a.json").write_text(json.dumps(labelme()))
    import_labelme(tmp_path / "in", tmp_path / "out")
    labels = {sample.part: sample.labels for sample in read_dataset(tmp_path / "out").samples}
    assert labels == {"monday/a": (False,), "tuesday/a": (True,)}


def test_a_document_without_its_picture_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, labelme())
    (folder / "c.json").write_text(json.dumps(labelme()))
    with pytest.raises(DataError, match=r"c\.json: found no picture c\.\* beside it"):
        import_labelme(folder, tmp_path / "out")


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png")
    with pytest.raises(DataError, match=r"found no \*\.json"):
        import_labelme(tmp_path / "in", tmp_path / "out")


def test_an_outline_drawn_on_the_turned_picture_stays(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with_exif(tmp_path / "in" / "a.jpg", 6)
    content = labelme() | {"imagePath": "a.jpg", "imageHeight": WIDTH, "imageWidth": HEIGHT}
    (tmp_path / "in" / "a.json").write_text(json.dumps(content))
    import_labelme(tmp_path / "in", tmp_path / "out")
    mask = read_dataset(tmp_path / "out").samples[0].load_masks(WIDTH, HEIGHT)[0]
    assert (mask[1:5, 2:6].all(), mask.sum()) == (True, 16)


NUMBERS = st.one_of(st.floats(), st.integers(-(10**20), 10**20), st.integers(-12, 12), st.none(), st.text(max_size=3))
POINTS = st.one_of(
    st.lists(st.lists(st.floats(-2, 12), min_size=2, max_size=2), max_size=6),
    st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4), max_leaves=12),
)
KINDS = st.sampled_from(["polygon", "rectangle", "circle", "mask", "line", "points"]) | NUMBERS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=KINDS, points=POINTS, size=st.just(HEIGHT) | NUMBERS)
def test_any_document_is_our_error_or_the_masks_it_states(tmp_path: Path, kind, points, size) -> None:
    folder = written(tmp_path, labelme(kind, points) | {"imageHeight": size})
    out = Path(tempfile.mkdtemp(dir=tmp_path)) / "out"
    try:
        import_labelme(folder, out)
    except DataError:
        assert list(out.parent.iterdir()) == []
        return
    mask = read_dataset(out).samples[0].load_masks(HEIGHT, WIDTH)[0]
    assert mask.any()
    if kind == "polygon":
        np.testing.assert_array_equal(mask, polygons(points))
