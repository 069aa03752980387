import tempfile
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
from train.data.annotations.yolo import import_yolo
from train.data.readers import read_dataset
from train.errors import DataError

LINE = "1 " + " ".join(f"{value / side:.6f}" for value, side in zip(SQUARE, [WIDTH, HEIGHT] * 4, strict=True))
NAMES = "names:\n  0: scratch\n  1: dent\n"


def written(folder: Path, label: str = LINE, names: str = NAMES, arrangement: str = "{kind}/train") -> Path:
    """Write one annotated and one good picture."""
    directory = folder / "in"
    write_images(directory / arrangement.format(kind="images"), "a.png", "b.png")
    labels = directory / arrangement.format(kind="labels")
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text(label + "\n", encoding="utf-8", errors="surrogatepass")
    (directory / "data.yaml").write_text(names)
    return directory


@pytest.mark.parametrize("arrangement", ["{kind}/train", "train/{kind}"], ids=["Ultralytics", "Roboflow"])
def test_yolo_becomes_a_folder_that_reads(tmp_path: Path, arrangement: str) -> None:
    summary = import_yolo(written(tmp_path, arrangement=arrangement), tmp_path / "out")
    assert (summary.images, summary.defective) == (2, 1)
    assert summary.notes == ("1 pictures without a label file: taken as good",)
    dataset = read_dataset(tmp_path / "out")
    labels = {sample.part: sample.labels for sample in dataset.samples}
    assert labels == {"train/a": (True, False), "train/b": (False, False)}
    np.testing.assert_array_equal(dataset.samples[0].load_masks(HEIGHT, WIDTH)[0], square())


@pytest.mark.parametrize("names", [NAMES, "nc: 2\nnames: ['scratch', \"dent\"]\n", "names:\n- scratch\n- dent\n"])
def test_classes_are_named_in_each_way_of_yaml(tmp_path: Path, names: str) -> None:
    import_yolo(written(tmp_path, names=names), tmp_path / "out")
    assert read_dataset(tmp_path / "out").classes == ("dent", "scratch")


@pytest.mark.parametrize(
    ("label", "names", "message"),
    [
        ("1 0.5 0.5 0.2 0.2", NAMES, r"a\.txt, line 1: found a box without an outline"),
        ("2 0 0 1 0 1 1", NAMES, "found the class 2, expected 0 to 1"),
        ("-1 0 0 1 0 1 1", NAMES, "found the class -1"),
        ("1 0 0 1 0 1", NAMES, "found 5 coordinates, expected x and y"),
        ("1 0 0 1 0 1 nan", NAMES, "found coordinates that are no numbers"),
        ("1 0 0 10 0 10 8", NAMES, "found a point at 100, 0, expected it within the picture of 10x8"),
        ("1 0 0 1e99 0 1 1", NAMES, "found a point at 1e"),
        ("1", NAMES, "found an outline of 0 points"),
        (LINE, "names: [a/b, dent]", "found the class name 'a/b'"),
        (LINE, "names: [a, '']", "expected a name that is not empty"),
        (LINE, "names:\n 1: a\n", "found class 1 in the place of 0"),
        (LINE, "nc: 2\n", "found 0 entries 'names'"),
        (LINE, "names: other.txt", r"found names: other\.txt, expected"),
    ],
)
def test_a_bad_label_is_one_clear_line(tmp_path: Path, label: str, names: str, message: str) -> None:
    folder = written(tmp_path, label, names)
    with pytest.raises(DataError, match=message) as caught:
        import_yolo(folder, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert left_over(tmp_path) == []


def test_a_label_file_without_its_picture_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "labels" / "train" / "c.txt").write_text(LINE)
    with pytest.raises(DataError, match=r"c\.txt: found no picture train/c\.\* for it"):
        import_yolo(folder, tmp_path / "out")


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"found none of data\.yaml, dataset\.yaml, classes\.txt"):
        import_yolo(folder, tmp_path / "out")


def test_a_picture_whose_label_does_not_tell_its_turn_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "images" / "train" / "a.png").unlink()
    with_exif(folder / "images" / "train" / "a.jpg", 6)
    with pytest.raises(DataError, match=r"turned by its EXIF mark \(6\)"):
        import_yolo(folder, tmp_path / "out")


@pytest.mark.parametrize(("boxes", "area"), [("fill", 16), ("label", 0)])
def test_boxes_are_taken_as_they_are_asked_for(tmp_path: Path, boxes: str, area: int) -> None:
    import_yolo(written(tmp_path, "1 0.35 0.3125 0.3 0.375"), tmp_path / "out", boxes)
    first = read_dataset(tmp_path / "out").samples[0]
    assert (first.labels[0], first.load_masks(HEIGHT, WIDTH).sum()) == (True, area)


WORDS = st.one_of(
    st.floats(-0.2, 1.2).map(lambda value: f"{value:.6f}"),
    st.floats().map(str),
    st.integers(-(10**30), 10**30).map(str),
    st.text(max_size=4),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(WORDS, max_size=9), corners=st.lists(st.floats(0, 1), min_size=6, max_size=8), valid=st.booleans()
)
def test_any_label_is_our_error_or_the_mask_it_states(tmp_path: Path, words, corners, valid: bool) -> None:
    line = " ".join(["1", *(f"{value:.6f}" for value in corners)] if valid else words)
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    folder = written(place, line)
    try:
        import_yolo(folder, place / "out")
    except DataError:
        assert left_over(place) == []
        return
    mask = read_dataset(place / "out").samples[0].load_masks(HEIGHT, WIDTH)
    if valid:
        points = np.reshape([float(f"{value:.6f}") for value in corners], (-1, 2)) * [WIDTH, HEIGHT]
        np.testing.assert_array_equal(mask[0], polygons(points))
