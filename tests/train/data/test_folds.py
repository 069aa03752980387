from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.train.conftest import CLASSES, tile, write_tile
from train.data.dataset import Dataset
from train.data.folds import deal_groups, make_folds
from train.data.readers import read_dataset
from train.data.splits import sides_of
from train.errors import SplitError

FOUR = 4
"""Folds of the drawn tiles, which have four parts of each class."""


@pytest.fixture
def dataset(tiles: Path) -> Dataset:
    return read_dataset(tiles)


@pytest.mark.parametrize("kind", ["by-part", "random"])
def test_every_image_is_tested_once(dataset: Dataset, kind: str) -> None:
    tested = Counter(image for split in make_folds(dataset, kind, 0, FOUR).splits for image in _tested(split))
    assert tested == {sample.sha256: 1 for sample in dataset.samples}


@pytest.mark.parametrize("seed", range(5))
def test_exposures_of_a_part_stay_together_in_every_fold(dataset: Dataset, seed: int) -> None:
    for split in make_folds(dataset, "by-part", seed, FOUR).splits:
        sides = defaultdict(set)
        for sample in dataset.samples:
            sides[sample.part].add(split.images[sample.sha256])
        assert all(len(side) == 1 for side in sides.values())


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_on_every_side_of_every_fold(dataset: Dataset, seed: int) -> None:
    folds = make_folds(dataset, "by-part", seed, FOUR)
    assert folds.remarks == ()
    for split in folds.splits:
        for samples in sides_of(split, dataset).values():
            assert np.any([sample.labels for sample in samples], axis=0).all()


def test_validation_is_an_eighth_of_all(dataset: Dataset) -> None:
    for split in make_folds(dataset, "random", 0, FOUR).splits:
        counts = Counter(split.images.values())
        assert counts["test"] == pytest.approx(20, abs=3)  # each of six labels may be one image off
        assert counts["val"] == pytest.approx(10, abs=3)


def test_seed_decides_alone(dataset: Dataset) -> None:
    assert make_folds(dataset, "by-part", 3, FOUR) == make_folds(dataset, "by-part", 3, FOUR)
    assert make_folds(dataset, "by-part", 3, FOUR) != make_folds(dataset, "by-part", 4, FOUR)


def test_a_class_with_too_few_parts_is_named(tmp_path: Path) -> None:
    folds = make_folds(_two_parts_of_fray(tmp_path), "by-part", 0, 3)
    assert folds.remarks == (
        "Fray has 2 parts: none of them is in the val part of fold 1, 2; its threshold has no ground of its own: "
        "training refuses it, unless the classes share one (thresholds.shrinkage, as in own-parts, or "
        "thresholds.shared) or it is fixed (thresholds.choose=fixed)",
        "Fray has 2 parts: none of them is in the test part of fold 3; it says nothing of the class",
    )


def test_a_class_that_the_data_does_not_have_is_not_remarked(tmp_path: Path) -> None:
    said = make_folds(_two_parts_of_fray(tmp_path), "by-part", 0, 3).remarks
    assert {line.split()[0] for line in said} == {"Fray"} < set(CLASSES)


@pytest.mark.parametrize("count", [1, 41])
def test_an_impossible_number_of_folds_is_refused(dataset: Dataset, count: int) -> None:
    with pytest.raises(SplitError, match=rf"--folds: found {count}, expected 2 to 40, the number of parts"):
        make_folds(dataset, "by-part", 0, count)


def test_real_folds_test_every_class(magnetic_tile: Path) -> None:
    dataset = read_dataset(magnetic_tile)
    folds = make_folds(dataset, "by-part", 0, 5)
    assert folds.remarks == ()
    assert [len(sides_of(split, dataset)["test"]) for split in folds.splits] == [225, 240, 227, 221, 221]


def _tested(split) -> list[str]:
    return [image for image, side in split.images.items() if side == "test"]


def _two_parts_of_fray(folder: Path) -> Dataset:
    generator = np.random.default_rng(0)
    for part, kind in enumerate(["Fray", "Fray", *["Free"] * 8]):
        write_tile(folder, kind, f"exp1_num_{1000 * part}", *tile(generator, kind))
    return read_dataset(folder)


def parts_and_labels(*parts: tuple[str, int, int]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, labels of three classes and outlines of pictures; of each part its name, class (0: good) and pictures."""
    names = [name for name, _, count in parts for _ in range(count)]
    kinds = np.array([kind for _, kind, count in parts for _ in range(count)])
    return names, kinds[:, None] == np.array([1, 2, 3]), kinds > 0


@pytest.mark.parametrize("seed", range(5))
def test_groups_have_whole_parts_of_each_kind(seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, 7, 60)
    parts = [(f"{number}", min(number // 7, 4) % 4, int(size)) for number, size in enumerate(sizes)]  # 7 of each class
    names, labels, outlined = parts_and_labels(*parts)
    groups = deal_groups(names, labels, outlined, seed, 3)
    group_of = defaultdict(set)
    for name, group in zip(names, groups.tolist(), strict=True):
        group_of[name].add(group)
    assert {len(found) for found in group_of.values()} == {1}
    for kind in range(4):
        counts = Counter(next(iter(group_of[name])) for name, of, _ in parts if of == kind)
        assert set(counts) == {0, 1, 2}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_each_group_has_a_part_with_an_outline() -> None:
    names, labels, outlined = parts_and_labels(*((f"{number}", 1, 2) for number in range(20)), ("good", 0, 9))
    few = outlined & np.isin(names, ["3", "11", "12"])
    for seed in range(50):
        groups = deal_groups(names, labels, few, seed, 3)
        assert set(groups[few].tolist()) == {0, 1, 2}
        assert set(deal_groups(names, labels, few & np.isin(names, ["3", "11"]), seed, 3).tolist()) == {0, 1}
    assert set(deal_groups(names, labels, np.zeros_like(few), 0, 3).tolist()) == {0}
