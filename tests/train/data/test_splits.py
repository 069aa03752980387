from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.train.conftest import tile, write_tile
from train.data.check.split_counts import side_lines, thin_sides
from train.data.readers import read_dataset
from train.data.splits import (
    SIDES,
    extend_split,
    load_split,
    make_split,
    named_split,
    part_counts,
    save_split,
    sides_of,
    without_validation,
    write_lists,
)
from train.errors import SplitError


@pytest.mark.parametrize("kind", ["random", "by-part"])
def test_shares_are_three_quarters_and_two_eighths(tiles: Path, kind: str) -> None:
    dataset = read_dataset(tiles)
    counts = Counter(make_split(dataset, kind, seed=0).images.values())
    assert counts["train"] == pytest.approx(60, abs=12)  # by part, each class needs one of its four on each side
    assert sum(counts.values()) == 80


def test_random_is_exactly_an_eighth(tiles: Path) -> None:
    counts = Counter(make_split(read_dataset(tiles), "random", seed=0).images.values())
    assert counts == {"train": 60, "val": 10, "test": 10}


@pytest.mark.parametrize("seed", range(5))
def test_by_part_keeps_exposures_together(tiles: Path, seed: int) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", seed)
    sides: dict[str, set[str]] = {}
    for sample in dataset.samples:
        sides.setdefault(sample.part, set()).add(split.images[sample.sha256])
    assert all(len(side) == 1 for side in sides.values())


@pytest.mark.parametrize("seed", range(5))
def test_by_part_has_every_class_on_every_side(tiles: Path, seed: int) -> None:
    dataset = read_dataset(tiles)
    for samples in sides_of(make_split(dataset, "by-part", seed), dataset).values():
        assert np.any([sample.labels for sample in samples], axis=0).all()


def test_random_splits_exposures(tiles: Path) -> None:
    dataset = read_dataset(tiles)
    sides = sides_of(make_split(dataset, "random", seed=0), dataset)
    train = {sample.part for sample in sides["train"]}
    assert train & {sample.part for sample in sides["test"]}


@pytest.mark.parametrize("kind", ["random", "by-part"])
def test_seed_decides_alone(tiles: Path, kind: str) -> None:
    dataset = read_dataset(tiles)
    assert make_split(dataset, kind, seed=3) == make_split(dataset, kind, seed=3)
    assert make_split(dataset, kind, seed=3) != make_split(dataset, kind, seed=4)


def test_by_part_with_two_parts_of_a_class_is_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for part, kind in enumerate(["Fray", "Fray", "Free", "Free", "Free"]):
        write_tile(tmp_path, kind, f"exp1_num_{1000 * part}", *tile(generator, kind))
    write_tile(tmp_path, "Fray", "exp2_num_0", *tile(generator, "Fray"))
    with pytest.raises(SplitError, match=r"found 2 parts with Fray in 3 images, expected at least one each.*random"):
        make_split(read_dataset(tmp_path), "by-part", seed=0)


def few_of_a_class(folder: Path, defective: int) -> Path:
    """Write ten good images and some defective ones, each of a part of its own."""
    generator = np.random.default_rng(0)
    for part, kind in enumerate(["Fray"] * defective + ["Free"] * 10):
        write_tile(folder, kind, f"exp1_num_{1000 * part}", *tile(generator, kind))
    return folder


def test_two_images_of_a_class_are_too_few_for_every_split(tmp_path: Path) -> None:
    dataset = read_dataset(few_of_a_class(tmp_path, 2))
    with pytest.raises(SplitError, match=r"by-part split: found 2 parts with Fray.*add parts of that class$"):
        make_split(dataset, "by-part", seed=0)
    with pytest.raises(SplitError, match=r"random split: found 2 images with Fray.*add parts of that class$"):
        make_split(dataset, "random", seed=0)


@pytest.mark.parametrize("kind", ["random", "by-part"])
@pytest.mark.parametrize(("defective", "measured"), [(1, ["test"]), (2, ["test", "val"])])
def test_defects_beside_good_parts_alone_are_measured(
    tmp_path: Path, kind: str, defective: int, measured: list[str]
) -> None:
    dataset = read_dataset(few_of_a_class(tmp_path, defective), one_class=True)
    sides = sides_of(make_split(dataset, kind, seed=0), dataset)
    assert sorted(side for side, samples in sides.items() for one in samples if not one.good) == measured
    assert all(any(one.good for one in samples) for samples in sides.values())


@pytest.mark.parametrize("defective", range(3, 9))
def test_random_has_a_small_class_on_every_side(tmp_path: Path, defective: int) -> None:
    dataset = read_dataset(few_of_a_class(tmp_path, defective))
    for samples in sides_of(make_split(dataset, "random", seed=0), dataset).values():
        assert not all(sample.good for sample in samples)


def test_file_gives_the_split_back(tiles: Path, tmp_path: Path) -> None:
    split = make_split(read_dataset(tiles), "by-part", seed=0)
    save_split(split, tmp_path / "split.json")
    assert load_split(tmp_path / "split.json") == split


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "expected what `train split` writes"),
        ('{"kind": "random", "seed": 0, "images": {}, "extra": 1}', "extra: unknown key"),
        ('{"kind": "random", "seed": 0, "images": {"a": "left"}}', "images.a: found 'left'"),
        ('{"kind": "random", "seed": 0}', "images: missing"),
        ('{"kind": "random", "seed": -1, "images": {}}', "seed: found -1"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "split.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SplitError, match=message):
        load_split(path)


def test_image_that_the_split_does_not_name_is_refused(tiles: Path) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "random", seed=0)
    known = dict(list(split.images.items())[1:])
    with pytest.raises(SplitError, match="found 1 of 80 images that it does not name"):
        sides_of(split.model_copy(update={"images": known}), dataset)


def test_exposures_are_judged_together_on_one_side_of_a_split_alone(tiles: Path) -> None:
    dataset = read_dataset(tiles)
    at_random, by_part = (make_split(dataset, kind, seed=0) for kind in ("random", "by-part"))
    assert sides_of(by_part, dataset, "mean-odds") == sides_of(by_part, dataset)
    assert sides_of(at_random, dataset)["test"]
    with pytest.raises(SplitError, match=r'a random one with thresholds\.exposures = "mean-odds", expected by-part'):
        sides_of(at_random, dataset, "mean-odds")


def test_a_split_without_validation_trains_with_its_images(tiles: Path) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", seed=0)
    before, after = (sides_of(one, dataset) for one in (split, without_validation(split)))
    assert set(after["train"]) == {*before["train"], *before["val"]}
    assert after["test"] == before["test"]
    assert not after["val"]
    assert [line.split(":")[0] for line in side_lines(without_validation(split), dataset)] == ["train", "test"]
    assert not any(" in val " in one.text for one in thin_sides(without_validation(split), dataset))


def test_a_file_with_a_part_on_two_sides_is_refused(tiles: Path, tmp_path: Path) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", seed=0)
    moved = next(sample for sample in dataset.samples if split.images[sample.sha256] == "train")
    save_split(split.model_copy(update={"images": split.images | {moved.sha256: "test"}}), tmp_path / "split.json")
    with pytest.raises(SplitError, match=f"found part {moved.part} in the (test and the train|train and the test) par"):
        named_split(str(tmp_path / "split.json"), dataset, seed=0)


def test_a_pattern_that_joins_all_parts_is_named(tiles: Path) -> None:
    dataset = read_dataset(tiles)
    joined = replace(dataset, samples=tuple(replace(one, part="1") for one in dataset.samples))
    with pytest.raises(SplitError, match=r"found 1 parts with Blowhole in 8 images.*correct the pattern `part`"):
        make_split(joined, "by-part", seed=0)


def test_real_split_leaves_no_class_out(magnetic_tile: Path) -> None:
    dataset = read_dataset(magnetic_tile)
    sides = sides_of(make_split(dataset, "by-part", seed=0), dataset)
    assert {side: len(sides[side]) for side in SIDES} == {"train": 848, "val": 147, "test": 139}


def test_the_lists_name_every_image_once(tiles: Path, tmp_path: Path) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", seed=0)
    write_lists(split, dataset, tmp_path / "lists")
    listed = {side: (tmp_path / "lists" / f"{side}.txt").read_text().splitlines() for side in SIDES}

    assert sorted(path for paths in listed.values() for path in paths) == sorted(str(s.path) for s in dataset.samples)
    assert {side: len(paths) for side, paths in listed.items()} == dict(Counter(split.images.values()))


@pytest.mark.parametrize("kind", ["by-part", "random"])
def test_an_extended_split_moves_no_image(tiles: Path, kind: str) -> None:
    dataset = read_dataset(tiles)
    known = replace(dataset, samples=tuple(one for one in dataset.samples if int(one.part[5:]) % 5000))
    before = make_split(known, kind, seed=0)
    after = extend_split(before, dataset)
    assert {image: after.images[image] for image in before.images} == before.images
    assert len(after.images) == len(dataset.samples) > len(before.images)
    assert all(part_counts(after)[side] >= count for side, count in part_counts(before).items())


def test_a_new_image_joins_the_side_of_its_part(tiles: Path) -> None:
    dataset = read_dataset(tiles)
    known = replace(dataset, samples=tuple(one for one in dataset.samples if one.path.stem.startswith("exp1")))
    after = extend_split(make_split(known, "by-part", seed=0), dataset)
    sides = {sample.part: after.images[sample.sha256] for sample in known.samples}
    assert all(after.images[sample.sha256] == sides[sample.part] for sample in dataset.samples)


def test_a_split_whose_parts_have_changed_is_not_extended(tiles: Path) -> None:
    dataset = read_dataset(tiles)
    one_part = replace(dataset, samples=tuple(replace(one, part="all") for one in dataset.samples))
    with pytest.raises(SplitError, match=r"found part all in the .* part of the split, expected its images together"):
        extend_split(make_split(dataset, "by-part", seed=0), one_part)
