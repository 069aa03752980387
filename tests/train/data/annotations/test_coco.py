import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.train.data.annotations.drawn import (
    HEIGHT,
    SQUARE,
    WIDTH,
    compressed,
    left_over,
    polygons,
    run_lengths,
    square,
    with_exif,
    write_images,
)
from train.data.annotations.coco import import_coco
from train.data.readers import read_dataset
from train.errors import DataError

BOX = [2, 1, 3, 3]  # x, y, width, height


def coco(segmentation: object) -> dict[str, object]:
    """Make a COCO file's content: one image with two annotations of one class, one good image."""
    sizes = {"height": HEIGHT, "width": WIDTH}
    return {
        "images": [{"id": 7, "file_name": "a.png", **sizes}, {"id": 8, "file_name": "b.png", **sizes}],
        "categories": [{"id": 3, "name": "dent"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": segmentation, "bbox": BOX}],
    }


def write_coco(folder: Path, content: object) -> Path:
    write_images(folder, "a.png", "b.png")
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def test_a_file_without_an_image_writes_nothing(tmp_path: Path) -> None:
    content = coco([SQUARE]) | {"images": [], "annotations": []}
    with pytest.raises(DataError, match=r"labels\.json: found no image, expected the pictures"):
        import_coco(write_coco(tmp_path / "in", content), tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        {"counts": run_lengths(square()), "size": [HEIGHT, WIDTH]},
        {"counts": compressed(run_lengths(square())), "size": [HEIGHT, WIDTH]},
    ],
    ids=["polygon", "run lengths", "compressed"],
)
def test_coco_becomes_a_folder_that_reads(tmp_path: Path, segmentation: object) -> None:
    file = write_coco(tmp_path / "in", coco(segmentation))
    summary = import_coco(file, tmp_path / "in", tmp_path / "out")
    assert (summary.images, summary.defective, summary.notes) == (2, 1, ())
    dataset = read_dataset(tmp_path / "out")
    assert dataset.classes == ("dent",)
    assert [sample.labels for sample in dataset.samples] == [(True,), (False,)]
    np.testing.assert_array_equal(dataset.samples[0].load_masks(HEIGHT, WIDTH)[0], square())


def without_categories(content: dict) -> None:
    del content["categories"]


def wrong_counts(content: dict) -> None:
    content["annotations"][0]["segmentation"] = {"counts": [3, 4], "size": [HEIGHT, WIDTH]}


def unknown_image(content: dict) -> None:
    content["images"][1]["file_name"] = "c.png"


def text_for_list(content: dict) -> None:
    content["annotations"] = "none"


def category(name: str):
    def change(content: dict) -> None:
        content["categories"][0]["name"] = name

    return change


def same_category_twice(content: dict) -> None:
    content["categories"].append({"id": 4, "name": "dent"})
    content["annotations"].append({**content["annotations"][0], "id": 2, "category_id": 4})


def same_category_id(content: dict) -> None:
    content["categories"].append({"id": 3, "name": "scratch"})


def same_image_id(content: dict) -> None:
    content["images"][1]["id"] = 7


def image_of_no_id(content: dict) -> None:
    content["annotations"][0]["image_id"] = 9


def category_of_no_id(content: dict) -> None:
    content["annotations"][0]["category_id"] = 9


def outline(segmentation: object):
    def change(content: dict) -> None:
        content["annotations"][0]["segmentation"] = segmentation

    return change


def no_outline(content: dict) -> None:
    del content["annotations"][0]["segmentation"]


def file_name(name: str):
    def change(content: dict) -> None:
        content["images"][0]["file_name"] = name

    return change


def size(height: object, width: object):
    def change(content: dict) -> None:
        content["images"][0] |= {"height": height, "width": width}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_categories, "found no 'categories', expected it"),
        (wrong_counts, "annotation 1: found run lengths over 7 pixels, expected 80"),
        (unknown_image, r"c\.png: found no such image"),
        (text_for_list, "found 'none' as annotations, expected a list"),
        (category("../../evil"), "found the class name '../../evil', expected a name without"),
        (category("/etc/cron.d"), "found the class name '/etc/cron.d'"),
        (category("crack/break"), "found the class name 'crack/break'"),
        (category(".5mm scratch"), "without blanks or dots at its ends"),
        (category(""), "expected a name that is not empty"),
        (category("dent\n"), "without blanks or dots at its ends"),
        (category("de\x00nt"), "expected printable UTF-8"),
        (category("de\ud800nt"), "expected printable UTF-8"),
        (category("x" * 300), "expected at most 100 characters"),
        (category("Good"), "found the class name 'Good', expected another"),
        (same_category_twice, "found the class names 'dent' and 'dent'"),
        (same_category_id, "found two categories with the id 3"),
        (same_image_id, "found two images with the id 7"),
        (image_of_no_id, "annotation 1: found the image id 9, which no image has"),
        (category_of_no_id, "annotation 1: found the category 9, expected one of 3"),
        (outline([[2, 1, 5, 1]]), "annotation 1: found an outline of 2 points, expected at least 3"),
        (outline([[3, 3]]), "found an outline of 1 points"),
        (outline([[1, 2, 3]]), r"found points of shape \(3,\)"),
        (outline([]), "found a box without an outline"),
        (outline([[]]), "found a box without an outline"),
        (no_outline, "found a box without an outline"),
        (outline([[20, 20, 30, 20, 30, 30]]), "found a point at 20, 20, expected it within the picture of 10x8"),
        (outline([[-2, -2, -1, -2, -1, -1]]), "found an outline without a pixel in the picture"),
        (outline([[1e300, 1, 5, 1, 5, 4]]), "found a point at 1e\\+300"),
        (outline({"counts": run_lengths(square()), "size": [WIDTH, HEIGHT]}), r"found run lengths of \[10, 8\]"),
        (outline({"counts": [10**17, 1], "size": [HEIGHT, WIDTH]}), "found run lengths over 1000"),
        (outline({"counts": [-1, 81], "size": [HEIGHT, WIDTH]}), "found run lengths that are no whole numbers"),
        (outline({"counts": "~~", "size": [HEIGHT, WIDTH]}), "found compressed run lengths with '~'"),
        (outline({"counts": "o", "size": [HEIGHT, WIDTH]}), "found compressed run lengths that are cut off"),
        (file_name("/etc/hostname"), "found the file name '/etc/hostname', expected names without"),
        (file_name("../in/a.png"), "found the file name '../in/a.png'"),
        (file_name("/data/local-files/?d=a.png"), r"found the file name '/data/local-files/\?d=a.png'"),
        (size(10**9, 10**9), "found the size 1000000000x1000000000 for a.png, expected that of the picture, 10x8"),
        (size(WIDTH, HEIGHT), "found the size 8x10 for a.png"),
        (size("8", None), "found the size Nonex'8' for a.png"),
    ],
)
def test_bad_coco_file_is_one_clear_line(tmp_path: Path, change: Callable[[dict], None], message: str) -> None:
    content = coco([SQUARE])
    change(content)
    file = write_coco(tmp_path / "in", content)
    with pytest.raises(DataError, match=message) as caught:
        import_coco(file, tmp_path / "in", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert left_over(tmp_path) == []


def test_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: cannot be read as JSON"):
        import_coco(tmp_path / "a.json", tmp_path, tmp_path / "out")


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "in", coco([SQUARE]))
    with pytest.raises(DataError, match="found a folder that is not empty"):
        import_coco(file, tmp_path / "in", tmp_path / "in")


@pytest.mark.parametrize(
    "text", ['{"images": [NaN]}', '{"images": [' + "1" * 30 + "]}", "[" * 100_000, '"a', "[]", "5", '{"images": 1e999}']
)
def test_a_document_without_end_or_structure_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json: (cannot be read as JSON|found)"):
        import_coco(tmp_path / "a.json", tmp_path, tmp_path / "out")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read(tmp_path: Path, encoding: str) -> None:
    file = write_coco(tmp_path / "in", coco([SQUARE]))
    file.write_bytes(file.read_text().replace("dent", "Drücker").encode(encoding))
    import_coco(file, tmp_path / "in", tmp_path / "out")
    assert read_dataset(tmp_path / "out").classes == ("Drücker",)


def test_a_document_in_cp1252_is_refused(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "in", coco([SQUARE]))
    file.write_bytes(file.read_text().replace("dent", "Drücker").encode("cp1252"))
    with pytest.raises(DataError, match="that are not UTF-8"):
        import_coco(file, tmp_path / "in", tmp_path / "out")


def test_a_root_category_without_outlines_is_no_class(tmp_path: Path) -> None:
    content = coco([SQUARE])
    content["categories"] = [
        {"id": 0, "name": "defects", "supercategory": "none"},
        {"id": 3, "name": "dent", "supercategory": "defects"},
    ]
    file = write_coco(tmp_path / "in", content)
    summary = import_coco(file, tmp_path / "in", tmp_path / "out")
    assert read_dataset(tmp_path / "out").classes == ("dent",)
    assert summary.notes == ("category 'defects' is above the others and has no outline: not a class",)


def test_the_same_name_in_two_folders_stays_apart(tmp_path: Path) -> None:
    content = coco([SQUARE])
    for number, day in enumerate(("monday", "tuesday")):
        write_images(tmp_path / "in" / day, "a.png")
        content["images"][number]["file_name"] = f"{day}/a.png"
    (tmp_path / "in" / "labels.json").write_text(json.dumps(content))
    import_coco(tmp_path / "in" / "labels.json", tmp_path / "in", tmp_path / "out")
    labels = {sample.part: sample.labels for sample in read_dataset(tmp_path / "out").samples}
    assert labels == {"monday/a": (True,), "tuesday/a": (False,)}


def test_pictures_that_the_file_does_not_list_are_named(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "in", coco([SQUARE]))
    write_images(tmp_path / "in", "c.png")
    (note,) = import_coco(file, tmp_path / "in", tmp_path / "out").notes
    assert note == f"1 pictures that the file does not list: not taken, first {tmp_path / 'in' / 'c.png'}"


@pytest.mark.parametrize(("orientation", "expected"), [(6, lambda mask: np.rot90(mask, -1)), (8, np.rot90)])
def test_a_turned_picture_turns_the_outline_that_was_drawn_before(tmp_path: Path, orientation: int, expected) -> None:
    content = coco([SQUARE])
    content["images"] = [content["images"][0] | {"file_name": "a.jpg"}]
    (tmp_path / "in").mkdir()
    with_exif(tmp_path / "in" / "a.jpg", orientation)
    (tmp_path / "in" / "labels.json").write_text(json.dumps(content))
    import_coco(tmp_path / "in" / "labels.json", tmp_path / "in", tmp_path / "out")
    masks = read_dataset(tmp_path / "out").samples[0].load_masks(WIDTH, HEIGHT)
    np.testing.assert_array_equal(masks[0], expected(square()))


def test_a_picture_that_is_turned_upside_down_is_refused(tmp_path: Path) -> None:
    content = coco([SQUARE])
    content["images"] = [content["images"][0] | {"file_name": "a.jpg"}]
    (tmp_path / "in").mkdir()
    with_exif(tmp_path / "in" / "a.jpg", 3)
    (tmp_path / "in" / "labels.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"turned by its EXIF mark \(3\)"):
        import_coco(tmp_path / "in" / "labels.json", tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(("boxes", "area"), [("fill", 16), ("label", 0)])
def test_boxes_are_taken_as_they_are_asked_for(tmp_path: Path, boxes: str, area: int) -> None:
    file = write_coco(tmp_path / "in", coco([]))
    import_coco(file, tmp_path / "in", tmp_path / "out", boxes)
    (first, _) = read_dataset(tmp_path / "out").samples
    assert (first.labels, first.load_masks(HEIGHT, WIDTH).sum()) == ((True,), area)


def test_an_annotation_without_outline_and_box_is_refused(tmp_path: Path) -> None:
    content = coco([])
    del content["annotations"][0]["bbox"]
    with pytest.raises(DataError, match="annotation 1: found neither outline nor box"):
        import_coco(write_coco(tmp_path / "in", content), tmp_path / "in", tmp_path / "out")


def roboflow(folder: Path) -> Path:
    """Write Roboflow's folders, with the ids of the categories in another order in each."""
    for number, side in enumerate(("train", "valid", "test")):
        write_images(folder / side, "a.png", "b.png")
        content = coco([SQUARE])
        content["categories"] = [
            {"id": 0, "name": "parts", "supercategory": "none"},
            {"id": 3 + number, "name": "dent", "supercategory": "parts"},
            {"id": 9 - number, "name": "scratch", "supercategory": "parts"},
        ]
        content["annotations"][0]["category_id"] = 3 + number
        (folder / side / "_annotations.coco.json").write_text(json.dumps(content))
    return folder


def test_the_folders_of_roboflow_are_one_data_set(tmp_path: Path) -> None:
    folder = roboflow(tmp_path / "in")
    summary = import_coco(folder, folder, tmp_path / "out")
    assert (summary.images, summary.defective) == (6, 3)
    dataset = read_dataset(tmp_path / "out")
    assert dataset.classes == ("dent", "scratch")
    assert {sample.part for sample in dataset.samples if sample.labels == (True, False)} == {
        "train/a", "valid/a", "test/a",
    }  # fmt: skip


def test_copies_that_roboflow_made_of_a_picture_are_one_part(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "train"
    names = [f"bolt_1_png.rf.{digit * 32}.png" for digit in "ab"]
    write_images(folder, *names)
    content = coco([SQUARE])
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    (folder / "_annotations.coco.json").write_text(json.dumps(content))
    import_coco(tmp_path / "in", tmp_path / "in", tmp_path / "out")
    assert {sample.part for sample in read_dataset(tmp_path / "out").samples} == {"bolt_1"}


def test_a_folder_without_roboflows_file_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png")
    with pytest.raises(DataError, match=r"found no _annotations\.coco\.json, expected it beside the pictures"):
        import_coco(tmp_path / "in", tmp_path / "in", tmp_path / "out")


NUMBERS = st.one_of(
    st.floats(), st.integers(-(10**20), 10**20), st.integers(-12, 12), st.none(), st.booleans(), st.text(max_size=3)
)
NESTED = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4), max_leaves=12)
SEGMENTATION = st.one_of(
    NESTED,
    st.lists(st.lists(st.floats(-3, 13), min_size=6, max_size=10), max_size=2),
    st.fixed_dictionaries({"counts": NESTED | st.text(max_size=8), "size": st.just([HEIGHT, WIDTH]) | NESTED}),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segmentation=SEGMENTATION, key=st.sampled_from(["image_id", "category_id", "segmentation", "id"]), value=NUMBERS)
def test_any_document_is_our_error_or_the_masks_it_states(tmp_path: Path, segmentation, key: str, value) -> None:
    content = coco(segmentation)
    if key != "segmentation":
        content["annotations"][0][key] = value
    file = write_coco(tmp_path / "in", content)
    out = Path(tempfile.mkdtemp(dir=tmp_path)) / "out"
    try:
        import_coco(file, tmp_path / "in", out)
    except DataError:
        assert list(out.parent.iterdir()) == []
        return
    mask = read_dataset(out).samples[0].load_masks(HEIGHT, WIDTH)[0]
    assert mask.any()
    if isinstance(segmentation, list):
        np.testing.assert_array_equal(mask, polygons(*segmentation))
