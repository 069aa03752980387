from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data.magnetic_tile import read_dataset
from train.errors import DataError


def write(path: Path, value: int = 255, size: tuple[int, int] = (8, 6)) -> None:
    """Write an image of one level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(size, value, np.uint8))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Write three images: one with two classes, one with one, one good."""
    for name in ("p1_a", "p1_b", "p2_a"):
        write(tmp_path / "images" / f"{name}.jpg", 90)
    write(tmp_path / "masks" / "scratch" / "p1_a.png")
    write(tmp_path / "masks" / "dent" / "p1_a.png")
    write(tmp_path / "masks" / "dent" / "p2_a.png")
    return tmp_path


def test_folders_are_the_classes_in_alphabetical_order(parts: Path) -> None:
    dataset = read_dataset(parts)
    assert dataset.classes == ("dent", "scratch")
    assert {s.path.stem: s.labels for s in dataset.samples} == {
        "p1_a": (True, True),
        "p1_b": (False, False),
        "p2_a": (True, False),
    }
    assert dataset.samples[0].load_masks(8, 6).all()


def test_each_image_is_a_part_of_its_own(parts: Path) -> None:
    assert len({sample.part for sample in read_dataset(parts).samples}) == 3


def test_pattern_says_the_part_and_the_file_the_order(parts: Path) -> None:
    (parts / "dataset.toml").write_text('classes = ["scratch", "dent"]\npart = "^(p\\\\d+)_"\n')
    dataset = read_dataset(parts)
    assert dataset.classes == ("scratch", "dent")
    assert [sample.part for sample in dataset.samples] == ["p1", "p1", "p2"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('parts = "x"', "parts: unknown key; the keys are classes, part, citation"),
        ('part = "p"', "found no group in 'p', expected one"),
        ('part = "("', r"part: .* in '\('; expected a regular expression"),
        ('part = "^(x)"', "found the name p1_a, expected one with"),
        ('classes = ["dent"]', "scratch: found an unknown class folder, expected one of dent"),
        ("classes = [", "expected a TOML file"),
    ],
)
def test_bad_settings_are_one_clear_line(parts: Path, settings: str, message: str) -> None:
    (parts / "dataset.toml").write_text(settings)
    with pytest.raises(DataError, match=message) as caught:
        read_dataset(parts)
    assert "\n" not in str(caught.value)


def test_mask_without_image_is_refused(parts: Path) -> None:
    write(parts / "masks" / "dent" / "p3_a.png")
    with pytest.raises(DataError, match=r"p3_a\.png: found a mask without its image"):
        read_dataset(parts)


def test_empty_mask_is_refused_with_both_ways_out(parts: Path) -> None:
    write(parts / "masks" / "dent" / "p1_b.png", 0)
    sample = read_dataset(parts).samples[1]
    with pytest.raises(DataError, match=r"found an empty mask.*remove the file.*or draw its outline"):
        sample.load_masks(8, 6)


def test_two_images_of_one_name_are_refused(parts: Path) -> None:
    write(parts / "images" / "p1_a.png")
    with pytest.raises(DataError, match=r"p1_a\.png: found beside p1_a\.jpg"):
        read_dataset(parts)


@pytest.mark.parametrize(("folder", "message"), [("masks", "found no class folder"), ("images", "found no image")])
def test_empty_folder_is_refused(parts: Path, folder: str, message: str) -> None:
    for path in sorted((parts / folder).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=message):
        read_dataset(parts)
