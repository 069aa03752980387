from pathlib import Path

import pytest

from tests.train.data.layouts.test_mask_folder import write
from train.data.layouts.class_labels import read_class_labels
from train.data.readers import read_dataset
from train.errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three images: one outlined, one with its class alone, one good."""
    for name in ("a", "b", "c.1"):
        write(tmp_path / "images" / f"{name}.png", 90)
    write(tmp_path / "masks" / "dent" / "a.png")
    (tmp_path / "labels.csv").write_text("image,class\na.png,dent\nb,scratch\nb.png,dent\nc.1,good\n")
    return tmp_path


def test_a_class_without_an_outline_counts_for_the_class_alone(pictures: Path) -> None:
    dataset = read_dataset(pictures)
    assert dataset.classes == ("dent", "scratch")
    labels = {sample.path.name: sample.labels for sample in dataset.samples}
    assert labels == {"a.png": (True, False), "b.png": (True, True), "c.1.png": (False, False)}
    drawn = {sample.path.name: sample.load_masks(8, 6).any() for sample in dataset.samples}
    assert drawn == {"a.png": True, "b.png": False, "c.1.png": False}
    assert not dataset.unused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no line, expected a first line with the columns image, class"),
        ("image,label\na,dent\n", "found image, label, expected a first line with the columns image, class"),
        ("image,class\na,\n", "line 2: found 'a', '', expected an image and its class"),
        ("image,class\na\n", "line 2: found 'a', '', expected an image and its class"),
        ("image,class\na,good\na,dent\n", "found a good and dent, expected one of them"),
        ("image,class\nz,dent\n", "found the image 'z', expected one of images/"),
        ("image,class\na,../x\n", "found the class name '../x'"),
        (
            "image;class\na;dent\n",
            "found image;class, expected a first line with the columns image, class, once each and",
        ),
        ("image,image,class\na,b,dent\n", "found image, image, class, expected a first line with the columns"),
        (f"image,class\na,{'x' * 200_000}\n", "line 1: found field larger than field limit"),
        ("image,class\na,good\n", "found a as good, but its mask"),
    ],
)
def test_a_wrong_file_is_one_clear_error(pictures: Path, text: str, message: str) -> None:
    (pictures / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=r"labels\.csv") as caught:
        read_dataset(pictures)
    assert message in str(caught.value)


def test_a_class_that_the_settings_do_not_list_is_refused(pictures: Path) -> None:
    (pictures / "dataset.toml").write_text('classes = ["dent"]\n')
    with pytest.raises(DataError, match="found the class 'scratch', expected one of dent"):
        read_dataset(pictures)


def test_without_masks_the_lines_are_the_classes(pictures: Path) -> None:
    (pictures / "masks" / "dent" / "a.png").unlink()
    (pictures / "masks" / "dent").rmdir()
    assert read_dataset(pictures).classes == ("dent", "scratch")


def test_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(DataError, match=r"labels\.csv: cannot be read \(Is a directory\)"):
        read_class_labels(tmp_path / "labels.csv")


def test_no_file_is_no_label(tmp_path: Path) -> None:
    assert read_class_labels(tmp_path / "labels.csv") == {}


def test_spreadsheets_write_a_mark_in_front(pictures: Path) -> None:
    (pictures / "labels.csv").write_text("image,class,remark\nb,scratch,faint\n", encoding="utf-8-sig")
    assert read_class_labels(pictures / "labels.csv") == {"b": frozenset({"scratch"})}
