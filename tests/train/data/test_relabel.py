import shutil
from pathlib import Path

import pytest

from train.data.readers import read_dataset
from train.data.relabel import FILE, write_corrections
from train.errors import DataError


@pytest.fixture
def folder(tmp_path: Path, tiles: Path) -> Path:
    """Copy the drawn tiles, so that a file can lie beside them."""
    copy = tmp_path / "tiles"
    shutil.copytree(tiles, copy)
    return copy


def correct(folder: Path, sha256: str, new_label: str) -> None:
    blank = dict.fromkeys(("name", "part", "label", "opinion", "score", "reason"), "x")
    write_corrections([{"sha256": sha256, "new_label": new_label, **blank}], folder / FILE)


def labels_of(folder: Path, sha256: str) -> list[str]:
    dataset = read_dataset(folder)
    sample = next(sample for sample in dataset.samples if sample.sha256 == sha256)
    return [name for name, has in zip(dataset.classes, sample.labels, strict=True) if has]


def first(folder: Path, kind: str) -> str:
    return next(sample.sha256 for sample in read_dataset(folder).samples if f"MT_{kind}" in str(sample.path))


def test_a_defect_of_another_name_takes_its_outline_along(folder: Path) -> None:
    image = first(folder, "Crack")
    correct(folder, image, "Break")
    assert labels_of(folder, image) == ["Break"]
    sample = next(sample for sample in read_dataset(folder).samples if sample.sha256 == image)
    masks = sample.load_masks(48, 32)
    assert masks[1].any()
    assert not masks[2].any()


def test_a_good_image_that_gets_a_class_has_no_outline(folder: Path) -> None:
    image = first(folder, "Free")
    correct(folder, image, "Break+Fray")
    assert labels_of(folder, image) == ["Break", "Fray"]
    sample = next(sample for sample in read_dataset(folder).samples if sample.sha256 == image)
    assert not sample.load_masks(48, 32).any()


def test_an_image_becomes_good_or_is_left_out(folder: Path) -> None:
    image = first(folder, "Uneven")
    correct(folder, image, "good")
    assert labels_of(folder, image) == []
    correct(folder, image, "leave-out")
    assert image not in {sample.sha256 for sample in read_dataset(folder).samples}


def test_the_name_says_that_labels_were_changed(folder: Path, tiles: Path) -> None:
    image = first(folder, "Free")
    name = read_dataset(tiles).name
    correct(folder, image, "Fray")
    assert read_dataset(folder).name == f"{name} (1 relabelled)"
    correct(folder, image, "")
    assert read_dataset(folder).name == name


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        ("0" * 64, "good", "line 2: found the image x, which .* does not have; remove the line"),
        ("", "Dent", "line 2: new_label: found 'Dent', expected good, leave-out, or one of Blowhole"),
    ],
)
def test_a_correction_that_does_not_fit_is_refused(folder: Path, image: str, label: str, message: str) -> None:
    correct(folder, image or first(folder, "Free"), label)
    with pytest.raises(DataError, match=message):
        read_dataset(folder)
