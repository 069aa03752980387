from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data.image_set import load_images
from train.data.layouts.severstal import RunLengths
from train.data.readers import read_dataset
from train.errors import DataError

HEIGHT, WIDTH = 256, 1600  # of the competition's images
HEADER = "ImageId,ClassId,EncodedPixels\n"


def write(folder: Path, rows: str, images: tuple[str, ...] = ("a.jpg", "b.jpg", "c.jpg"), width: int = WIDTH) -> Path:
    """Write a data set in the competition's layout."""
    (folder / "train_images").mkdir()
    for number, name in enumerate(images):
        cv2.imwrite(str(folder / "train_images" / name), np.full((HEIGHT, width), 90 + number, np.uint8))
    (folder / "train.csv").write_text(HEADER + rows)
    return folder


def test_classes_of_each_image(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, "a.jpg,3,1 5\na.jpg,1,1 2\nb.jpg,4,9 1\n"))
    assert dataset.classes == ("1", "2", "3", "4")
    labels = {sample.path.name: sample.labels for sample in dataset.samples}
    assert labels == {
        "a.jpg": (True, False, True, False),
        "b.jpg": (False, False, False, True),
        "c.jpg": (False, False, False, False),
    }


def test_runs_go_down_the_columns_from_one(tmp_path: Path) -> None:
    sample = read_dataset(write(tmp_path, "a.jpg,2,1 2 256 3\n")).samples[0]
    mask = sample.load_masks(HEIGHT, WIDTH)[1]
    assert list(zip(*np.nonzero(mask), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (255, 0)]


def test_overlapping_classes_keep_their_pixels(tmp_path: Path) -> None:
    sample = read_dataset(write(tmp_path, "a.jpg,1,1 10\na.jpg,3,5 10\n")).samples[0]
    masks = sample.load_masks(HEIGHT, WIDTH)
    assert (masks[0] & masks[2]).sum() == 6
    assert masks.sum() == 20


def test_last_pixel_can_be_run_to() -> None:
    mask = RunLengths(f"{HEIGHT * WIDTH} 1", "here").load(HEIGHT, WIDTH)
    assert mask[-1, -1]
    assert mask.sum() == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg,1,1 5 9\n", r"train\.csv, line 2: found the run lengths '1 5 9', expected pairs"),
        ("a.jpg,1,1 x\n", "found the run lengths '1 x'"),
        ("a.jpg,1,\n", "found the run lengths ''"),
        ("a.jpg,1,-3 4\n", "found the run lengths '-3 4'"),
        ("a.jpg,1,0 4\n", "found the run 0 4, expected it to lie within 1 to 409600"),
        ("a.jpg,1,5 0\n", "found the run 5 0"),
        ("a.jpg,1,409600 2\n", "found the run 409600 2"),
        ("a.jpg,5,1 2\n", "found the class '5', expected one of 1, 2, 3, 4"),
        ("z.jpg,1,1 2\n", r"found the image z\.jpg, which is not in train_images"),
        ("a.jpg,1,1 2\na.jpg,1,5 2\n", r"line 3: found class 1 of a\.jpg a second time"),
        ("a.jpg,1\n", "found 2 values, expected 3"),
    ],
)
def test_malformed_row_is_one_clear_line(tmp_path: Path, quick_recipe, rows: str, message: str) -> None:
    write(tmp_path, rows)
    with pytest.raises(DataError, match=message) as caught:
        load_images(read_dataset(tmp_path).samples, quick_recipe().input, 4)
    assert "\n" not in str(caught.value)


def test_another_header_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "")
    (tmp_path / "train.csv").write_text("ImageId_ClassId,EncodedPixels\n")
    with pytest.raises(DataError, match="found the columns ImageId_ClassId,EncodedPixels, expected ImageId,ClassId"):
        read_dataset(tmp_path)


def test_an_image_of_another_size_takes_the_runs_that_fit_it(tmp_path: Path) -> None:
    sample = read_dataset(write(tmp_path, "a.jpg,1,256 2\n", width=800)).samples[0]
    assert np.argwhere(sample.load_masks(HEIGHT, 800)[0]).tolist() == [[0, 1], [255, 0]]


def test_runs_beyond_a_smaller_image_are_refused(tmp_path: Path, quick_recipe) -> None:
    write(tmp_path, "a.jpg,1,409600 1\n", width=800)
    with pytest.raises(DataError, match="expected it to lie within 1 to 204800"):
        load_images(read_dataset(tmp_path).samples, quick_recipe().input, 4)


def test_endings_in_upper_case_are_read(tmp_path: Path) -> None:
    write(tmp_path, "b.JPG,2,1 2\n", images=("a.jpg", "b.JPG"))
    labels = {sample.path.name: sample.labels for sample in read_dataset(tmp_path).samples}
    assert labels == {"a.jpg": (False,) * 4, "b.JPG": (False, True, False, False)}


def test_images_without_labels_are_left_aside_by_name(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg,1,1 2\n")
    (tmp_path / "test_images").mkdir()
    cv2.imwrite(str(tmp_path / "test_images" / "z.jpg"), np.zeros((4, 4), np.uint8))
    assert [one.path.name for one in read_dataset(tmp_path).unused] == ["z.jpg"]


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "", images=())
    with pytest.raises(DataError, match=r"train_images: found no image"):
        read_dataset(tmp_path)
