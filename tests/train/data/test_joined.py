from pathlib import Path

import pytest

from tests.train.data.layouts.test_mask_folder import write
from train.data.joined import read_datasets
from train.errors import DataError


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two data sets with a part name in common and another class in the second."""
    for folder, kind, level in (("old", "dent", 90), ("new", "scratch", 140)):
        write(tmp_path / folder / "images" / "p1.png", level)
        write(tmp_path / folder / "masks" / kind / "p1.png")
    write(tmp_path / "new" / "images" / "p2.png", 60)
    return [tmp_path / "old", tmp_path / "new"]


def test_classes_of_the_first_come_first_and_parts_stay_apart(folders: list[Path]) -> None:
    dataset = read_datasets(folders)
    assert dataset.classes == ("dent", "scratch")
    assert [(sample.part, sample.labels) for sample in dataset.samples] == [
        ("p1", (True, False)),
        ("new/p1", (False, True)),
        ("new/p2", (False, False)),
    ]
    assert dataset.name == "old + new"


def test_one_folder_is_as_it_is(folders: list[Path]) -> None:
    assert [sample.part for sample in read_datasets(folders[1:]).samples] == ["p1", "p2"]


def test_a_picture_in_both_counts_once(folders: list[Path]) -> None:
    for place in ("images/p1.png", "masks/dent/p1.png"):
        copy = folders[1] / place.replace("p1", "again")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((folders[0] / place).read_bytes())
    assert [sample.part for sample in read_datasets(folders).samples] == ["p1", "new/p1", "new/p2"]


def test_a_picture_with_two_labels_is_refused(folders: list[Path]) -> None:
    (folders[1] / "images/again.png").write_bytes((folders[0] / "images/p1.png").read_bytes())
    with pytest.raises(DataError, match="with another label"):
        read_datasets(folders)


def test_a_folder_that_is_named_twice_is_refused(folders: list[Path]) -> None:
    with pytest.raises(DataError, match="found this folder twice, expected each data set once"):
        read_datasets([folders[0], folders[1], folders[0] / "images" / ".."])


def test_folders_of_one_name_are_refused(folders: list[Path]) -> None:
    (folders[1].parent / "elsewhere").mkdir()
    namesake = folders[1].rename(folders[1].parent / "elsewhere" / "old")
    with pytest.raises(DataError, match="found the folder names old, old, expected different ones"):
        read_datasets([folders[0], namesake])
