from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data.anomaly import ANOMALY, as_anomaly, is_anomaly
from train.data.check.checks import check_images
from train.data.joined import read_datasets
from train.data.readers import read_dataset
from train.errors import DataError


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Write a good part, one with two outlined defects, one with an outlined and a named defect."""
    folder = tmp_path / "parts"
    generator = np.random.default_rng(0)
    for name in ("good", "two", "named"):
        write(folder / "images" / f"{name}.png", generator.integers(0, 255, (16, 16), np.uint8))
    for number, kind in enumerate(("dent", "scratch")):
        mask = np.zeros((16, 16), np.uint8)
        mask[4 * number : 4 * number + 2] = 255
        write(folder / "masks" / kind / "two.png", mask)
    write(folder / "masks" / "dent" / "named.png", mask)
    (folder / "labels.csv").write_text("image,class\nnamed,scratch\n")
    return folder


def test_all_defects_are_one_class(parts: Path) -> None:
    dataset = read_dataset(parts, one_class=True)
    assert dataset.classes == (ANOMALY,)
    assert is_anomaly(dataset.classes)
    assert {sample.path.stem: sample.good for sample in dataset.samples} == {"good": True, "two": False, "named": False}


def test_outlines_are_joined(parts: Path) -> None:
    two = next(sample for sample in read_dataset(parts, one_class=True).samples if sample.path.stem == "two")
    assert two.load_masks(16, 16)[0].any(axis=1).nonzero()[0].tolist() == [0, 1, 4, 5]


def test_a_defect_without_outline_leaves_the_picture_without_one(parts: Path) -> None:
    named = next(sample for sample in read_dataset(parts, one_class=True).samples if sample.path.stem == "named")
    assert named.labels == (True,)
    assert not named.load_masks(16, 16).any()


def test_other_data_sets_keep_their_classes(parts: Path) -> None:
    assert read_dataset(parts).classes == ("dent", "scratch")
    assert as_anomaly(read_dataset(parts)).name == "parts"


def test_good_parts_alone_are_a_data_set_of_one_class_only(tmp_path: Path) -> None:
    write(tmp_path / "only" / "images" / "a.png", np.full((16, 16), 90, np.uint8))
    dataset = read_datasets([tmp_path / "only"], one_class=True)
    assert [sample.good for sample in dataset.samples] == [True]
    with pytest.raises(DataError, match="with good parts alone --recipe good-only"):
        read_datasets([tmp_path / "only"])


def test_checks_warn_of_no_defect_and_find_no_problem(tmp_path: Path, quick_recipe) -> None:
    write(tmp_path / "only" / "images" / "a.png", np.full((48, 32), 90, np.uint8))
    report = check_images(read_dataset(tmp_path / "only", one_class=True), quick_recipe().input)
    assert not report.problems
    assert "escapes cannot be measured" in report.warnings[0].text
