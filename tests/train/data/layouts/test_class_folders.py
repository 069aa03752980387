from pathlib import Path

import pytest

from tests.train.data.layouts.test_mask_folder import write
from train.data.dataset import NotOutlined
from train.data.readers import read_dataset
from train.errors import DataError


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Write two good pictures, two scratches of which one is outlined, and a dent."""
    for place in ("good/p1_a", "good/line2/p2_a", "scratch/p1_a", "scratch/p3_a", "dent/p4_a"):
        write(tmp_path / f"{place}.png", 90)
    write(tmp_path / "masks" / "scratch" / "p3_a.png")
    return tmp_path


def test_the_folder_is_the_class_and_a_mask_is_optional(parts: Path) -> None:
    dataset = read_dataset(parts)
    found = {sample.path.relative_to(parts).as_posix(): sample for sample in dataset.samples}

    assert dataset.classes == ("dent", "scratch")
    assert {place: sample.labels for place, sample in found.items()} == {
        "dent/p4_a.png": (True, False),
        "good/line2/p2_a.png": (False, False),
        "good/p1_a.png": (False, False),
        "scratch/p1_a.png": (False, True),
        "scratch/p3_a.png": (False, True),
    }
    assert found["scratch/p1_a.png"].outlines == (None, NotOutlined())
    assert found["scratch/p3_a.png"].load_masks(8, 6)[1].all()


def test_the_part_is_found_in_the_path_below_the_folder(parts: Path) -> None:
    (parts / "dataset.toml").write_text("part = '(p[0-9]+)_'\n")
    names = {sample.path.relative_to(parts).as_posix(): sample.part for sample in read_dataset(parts).samples}

    assert names["good/p1_a.png"] == names["scratch/p1_a.png"] == "p1"
    assert len(set(names.values())) == 4


def test_without_a_pattern_equal_names_in_two_folders_are_two_parts(parts: Path) -> None:
    assert len({sample.part for sample in read_dataset(parts).samples}) == 5


def test_settings_order_the_classes_and_bound_them(parts: Path) -> None:
    (parts / "dataset.toml").write_text('classes = ["scratch", "dent"]\n')
    assert read_dataset(parts).classes == ("scratch", "dent")
    write(parts / "stain" / "a.png", 90)
    with pytest.raises(DataError, match=r"stain: found an unknown class folder, expected one of good, scratch, dent"):
        read_dataset(parts)


def test_good_pictures_alone_are_read_as_one_class(tmp_path: Path) -> None:
    write(tmp_path / "good" / "a.png", 90)
    assert [sample.good for sample in read_dataset(tmp_path, one_class=True).samples] == [True]
    with pytest.raises(DataError, match="with good parts alone --recipe good-only"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("masks/scratch/p9.png", r"p9\.png: found a mask without its image scratch/p9"),
        ("masks/stain/p1_a.png", r"masks/stain: found an unknown class folder, expected one of good, dent, scratch"),
        ("masks/good/p1_a.png", r"masks/good: found an unknown class folder"),
        ("loose.png", r"loose\.png: found a picture where the layout of the data set has no place"),
        ("stain/readme.txt", r"stain: found no image, expected .* of parts that are of this class"),
    ],
)
def test_what_does_not_fit_is_refused(parts: Path, place: str, message: str) -> None:
    if place.endswith(".txt"):
        (parts / "stain").mkdir()
        (parts / place).write_text("nothing")
    else:
        write(parts / place, 91)
    with pytest.raises(DataError, match=message):
        read_dataset(parts)


def test_the_same_picture_as_good_and_as_defective_is_refused(parts: Path) -> None:
    (parts / "good" / "p3_a.png").write_bytes((parts / "scratch" / "p3_a.png").read_bytes())
    with pytest.raises(DataError, match="p3_a"):
        read_dataset(parts)
