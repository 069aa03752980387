import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.torchvision_operators import declare_torchvision_operators
from tests.train.conftest import write_tile
from train.data.dataset import Dataset
from train.data.readers import read_dataset
from train.data.splits import Split, load_split, make_split, without_validation
from train.device import choose_compute
from train.errors import CheckpointError, DataError, SplitError
from train.loop.classifier_run import ClassifierRun, chosen
from train.loop.feature_maps import Drawn, FeatureMap, FeatureMaps
from train.models.checkpoint import load_checkpoint
from train.recipe import Recipe, load_recipe

CPU = choose_compute("cpu", "float32")


@pytest.fixture(scope="module", autouse=True)
def encoder() -> None:
    declare_torchvision_operators()


def recipe_of(*overrides: str) -> Recipe:
    small = ["input.height=48", "input.width=32", "network.pretrained=false", "run.epochs=1", "crops.images=8"]
    return load_recipe("few-defects", [*small, "thresholds.folds=1", *overrides])


def run_of(dataset: Dataset, out: Path, recipe: Recipe, split: Split | None = None) -> ClassifierRun:
    split = split or make_split(dataset, "by-part", recipe.seed)
    split = without_validation(split) if recipe.thresholds.folds > 1 else split
    return ClassifierRun(recipe, dataset, split, out, CPU, Console(file=io.StringIO(), width=200))


@pytest.fixture(scope="module")
def run(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> ClassifierRun:
    """A finished run."""
    run = run_of(read_dataset(tiles), tmp_path_factory.mktemp("run"), recipe_of())
    run.train()
    run.test()
    return run


def test_defects_of_other_parts_are_found_and_named(run: ClassifierRun) -> None:
    metrics = load_checkpoint(run.best).meta.metrics["test"]
    assert metrics["union"]["average_precision"] > 0.9
    assert metrics["mean_average_precision"] > 0.35  # of random features


def test_the_report_says_how_it_was_fitted(run: ClassifierRun) -> None:
    report = (run.out / "report.html").read_text()
    assert "Fitted to the features of a frozen encoder." in report
    assert "good parts alone" not in report


def test_the_encoder_stays_as_it_was(run: ClassifierRun, tiles: Path, tmp_path: Path) -> None:
    untrained = run_of(read_dataset(tiles), tmp_path, recipe_of())
    weights = load_checkpoint(run.best).weights
    assert {name for name, value in untrained.network.state_dict().items() if "encoder" in name} <= weights.keys()
    running = [name for name in weights if "encoder" in name and name.endswith("running_mean")]
    assert running
    for name in running:
        assert torch.equal(weights[name], untrained.network.state_dict()[name])


@pytest.mark.parametrize("crops", [0, 8])
def test_pictures_two_mirror_images_and_crops_are_learnt(
    crops: int, run: ClassifierRun, tiles: Path, tmp_path: Path
) -> None:
    if not crops:
        run = run_of(read_dataset(tiles), tmp_path, recipe_of("crops.images=0"))
        run.train()
    assert isinstance(run.console.file, io.StringIO)
    learnt = re.search(
        r"trained on (\d+) pictures and mirror images of \d+ images( and 8 crops)?,", run.console.file.getvalue()
    )
    assert learnt
    assert int(learnt[1]) == 3 * len(run.samples["train"])
    assert bool(learnt[2]) is bool(crops)


@pytest.mark.parametrize(("room", "learnt", "crops"), [(20, 12, 8), (8, 6, 4), (1, 6, 0)])
def test_what_has_room_is_learnt(
    room: int, learnt: int, crops: int, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of()
    run = run_of(read_dataset(tiles), tmp_path, recipe)
    sizes = run.classifier.sizes(48, 32)
    cells = sum(height * width for height, width in sizes) // 16
    monkeypatch.setattr("train.loop.classifier_run.MOST_BYTES", room * int(2 * run.classifier.cell_features * cells))
    run.train()
    assert isinstance(run.console.file, io.StringIO)
    said = run.console.file.getvalue()
    assert f"trained on {learnt} pictures" in said
    assert (f" and {crops} crops" in said) is bool(crops)


def test_thresholds_are_chosen_on_what_was_not_learnt(tiles: Path, tmp_path: Path) -> None:
    run = run_of(read_dataset(tiles), tmp_path, recipe_of("thresholds.folds=2"))
    run.train()
    stored = load_checkpoint(run.best)
    assert not run.samples["val"]
    assert stored.meta.metrics["held_out"]["images"] == len(run.samples["train"])
    assert "val" not in stored.meta.metrics
    assert stored.meta.split == run.split
    assert isinstance(run.console.file, io.StringIO)
    assert "each image by heads that had not learnt its part: escapes" in run.console.file.getvalue()
    again = run_of(read_dataset(tiles), tmp_path, recipe_of("thresholds.folds=2"), load_split(tmp_path / "split.json"))
    again.train()


def test_what_cannot_be_carried_over_is_not_found_in_parts_that_were_left_out(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(24):  # each part has a pattern of its own, and whether it counts as defective says nothing
        pattern = generator.integers(0, 256, (6, 4), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        kind, level = ("Crack", 255) if number % 2 else ("Free", 0)
        for view in range(2):
            name = f"exp{view + 1}_num_{1000 * number + 100 * view}"
            write_tile(tmp_path / "data", kind, name, pattern, np.full_like(pattern, level))
    dataset = read_dataset(tmp_path / "data")
    run = run_of(dataset, tmp_path / "run", recipe_of("thresholds.folds=2", "crops.images=0"))
    run.train()
    learnt = run.evaluate_part(load_checkpoint(run.best), "train").metrics.union.average_precision
    left_out = load_checkpoint(run.best).meta.metrics["held_out"]["union"]["average_precision"]
    assert learnt is not None
    assert learnt > 0.95
    assert left_out < 0.8


class Recorded:
    """Maps that note which group each draw leaves out."""

    def __init__(self, maps: FeatureMaps, drawn: list[tuple[Drawn, int | None]]):
        self._maps, self._drawn = maps, drawn

    def draw(self, count: int, generator: torch.Generator, drawn: Drawn, without: int | None = None) -> Any:
        self._drawn.append((drawn, without))
        return self._maps.draw(count, generator, drawn, without)


def drawn_maps(classes: int, folder: Path) -> FeatureMaps:
    """Four maps of Lite2's features, every other one good, in two groups."""
    scales = [np.ones((channels, px, px), np.float16) for channels, px in zip((24, 48, 120), (8, 4, 2), strict=True)]
    shares = [np.full((classes, 8, 8), value, np.float32) for value in (0, 1)]
    return maps_of(*(FeatureMap(part, tuple(scales), shares[part % 2], part // 2) for part in range(4)), folder=folder)


def test_every_draw_leaves_the_group_out(tiles: Path, tmp_path: Path) -> None:
    run = run_of(read_dataset(tiles), tmp_path, recipe_of())
    drawn: list[tuple[Drawn, int | None]] = []
    maps = Recorded(drawn_maps(len(run.dataset.classes), tmp_path), drawn)
    run.fit_heads([maps], 2, "", without=1)  # type: ignore[list-item]
    assert set(drawn) == {("good", 1), ("pictures", 1), ("outlines", 1)}


def test_each_fit_begins_with_untrained_heads(tiles: Path, tmp_path: Path) -> None:
    run = run_of(read_dataset(tiles), tmp_path, recipe_of())
    before = run.classifier.find.gather.weight.clone()
    maps = [drawn_maps(len(run.dataset.classes), tmp_path)]
    run.fit_heads(maps, 40, "")
    assert (run.classifier.find.gather.weight - before).abs().max() > 0.005
    run.fit_heads(maps, 2, "")
    assert (run.classifier.find.gather.weight - before).abs().max() < 0.004  # two steps of at most 0.002


def test_crops_are_made_of_the_parts_of_their_group(tiles: Path, tmp_path: Path) -> None:
    run = run_of(read_dataset(tiles), tmp_path, recipe_of("crops.drawn=0", "crops.images=9"))
    images = run.load("train")
    groups = np.arange(len(images)) % 2
    levels = replace(images, images=np.full_like(images.images, 40))
    levels.images[groups == 1] = 200
    made = run.crops(levels, groups)
    for one, level in zip(made, (40, 200), strict=True):
        crops = one.batch(torch.arange(one.own, len(one)))
        assert bool(((crops.frames.float() - level).abs() < 60).all())  # pasted blobs differ a little
        assert bool(crops.labels.any(dim=1).all())
    assert [len(one) - one.own for one in made] == [5, 4]
    masks = [one.batch(torch.arange(one.own, one.own + 4)).bits for one in made]
    assert not any(torch.equal(a, b) for a, b in zip(*masks, strict=True))


def test_a_group_without_an_outline_makes_no_crops(tiles: Path, tmp_path: Path) -> None:
    run = run_of(read_dataset(tiles), tmp_path, recipe_of())
    images = run.load("train")
    groups = images.good.astype(np.int64) if images.good.any() else np.zeros(len(images), np.int64)
    assert [len(one) - one.own for one in run.crops(images, groups)] == [0, 0]


def test_too_few_parts_to_leave_one_out_are_refused(tiles: Path, tmp_path: Path) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", 0)
    good = sorted({sample.part for sample in dataset.samples if sample.good})
    kept = {s.sha256: "train" if s.part == good[0] or not s.good else "test" for s in dataset.samples}
    run = run_of(dataset, tmp_path, recipe_of("thresholds.folds=3"), split.model_copy(update={"images": kept}))
    with pytest.raises(SplitError, match=r"expected good parts and parts with an outlined defect in two.*folds=1"):
        run.train()


def test_defects_of_other_parts_are_outlined(run: ClassifierRun) -> None:
    metrics = load_checkpoint(run.best).meta.metrics["test"]
    assert metrics["union"]["iou_pooled"] > 0.15  # of random features


def test_another_recipe_in_the_folder_is_refused(run: ClassifierRun, tiles: Path) -> None:
    other = run_of(read_dataset(tiles), run.out, recipe_of("network.width=32"))
    with pytest.raises(CheckpointError, match=r"network\.width"):
        other.train()


@pytest.mark.parametrize(("good", "missing"), [(True, "defective"), (False, "good")])
def test_a_training_part_of_one_kind_is_refused(good: bool, missing: str, tiles: Path, tmp_path: Path) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", 0)
    train = [sample for sample in dataset.samples if split.images[sample.sha256] == "train" and sample.good == good]
    left_out = {s.sha256 for s in dataset.samples if split.images[s.sha256] == "train" and s.good != good}
    kept = {name: side if name not in left_out else "val" for name, side in split.images.items()}
    assert train
    with pytest.raises(SplitError, match=f"found no {missing} image"):
        run_of(dataset, tmp_path, recipe_of(), split.model_copy(update={"images": kept}))


def maps_of(*maps: FeatureMap, folder: Path) -> FeatureMaps:
    return FeatureMaps(maps, len(maps), folder)


def map_of(part: int, crop: bool = False) -> FeatureMap:
    """A map of one patch whose only feature is the number of its part; part 0 is good. Its group is odd or even."""
    scales = (np.full((1, px, px), part, np.float16) for px in (4, 2, 1))
    return FeatureMap(part, tuple(scales), np.full((1, 4, 4), float(part > 0), np.float32), part % 2, crop)


def drawn_parts(maps: FeatureMaps, count: int, drawn: Drawn = "pictures", without: int | None = None) -> list[int]:
    features, shares = maps.draw(count, torch.Generator().manual_seed(0), drawn, without)
    assert [tuple(scale.shape) for scale in features] == [(count, 1, 4, 4), (count, 1, 2, 2), (count, 1, 1, 1)]
    assert torch.equal(shares > 0, features.quarter > 0)
    assert torch.equal(features.quarter.amax(dim=(2, 3)), features.sixteenth.amax(dim=(2, 3)))
    return features.sixteenth.flatten().int().tolist()


def test_each_part_comes_as_often_as_another(tmp_path: Path) -> None:
    maps = maps_of(*[map_of(1)] * 9, map_of(2), folder=tmp_path)
    assert drawn_parts(maps, 4000).count(2) == pytest.approx(2000, abs=150)


def test_half_of_a_batch_is_good(tmp_path: Path) -> None:
    maps = maps_of(map_of(0), *[map_of(1)] * 9, folder=tmp_path)
    assert drawn_parts(maps, 4000).count(0) == pytest.approx(2000, abs=150)
    assert set(drawn_parts(maps, 50, "good")) == {0}


def test_crops_come_for_outlines_alone(tmp_path: Path) -> None:
    maps = maps_of(map_of(0), map_of(1), *[map_of(2, crop=True)] * 9, folder=tmp_path)
    assert maps.pictures == 2
    assert set(drawn_parts(maps, 200)) == {0, 1}
    outlines = drawn_parts(maps, 4000, "outlines")
    assert outlines.count(0) == pytest.approx(1000, abs=150)
    assert outlines.count(2) == pytest.approx(1500, abs=150)


@pytest.mark.parametrize("drawn", ["pictures", "outlines"])
def test_a_group_is_left_out_with_its_crops(drawn: Drawn, tmp_path: Path) -> None:
    maps = maps_of(*(map_of(part) for part in range(5)), map_of(3, crop=True), map_of(4, crop=True), folder=tmp_path)
    assert set(drawn_parts(maps, 500, drawn)) == {0, 1, 2, 3, 4}
    assert set(drawn_parts(maps, 500, drawn, without=1)) == {0, 2, 4}


def test_a_group_is_spared_where_good_and_defective_pictures_are_left(tmp_path: Path) -> None:
    maps = maps_of(map_of(0), map_of(1), map_of(2), map_of(4, crop=True), folder=tmp_path)
    assert maps.spares(1)
    assert not maps.spares(0)  # the only good one


def test_the_least_share_of_a_class_is_kept(tmp_path: Path) -> None:
    one = map_of(1)
    faint = FeatureMap(1, one.features, np.full((1, 4, 4), 1e-4, np.float32))
    shares = maps_of(map_of(0), faint, folder=tmp_path).draw(50, torch.Generator().manual_seed(0), "outlines")[1]
    assert sorted(set(shares.flatten().tolist())) == pytest.approx([0, 1 / 255])


def test_the_features_leave_no_file_behind(tmp_path: Path) -> None:
    maps = maps_of(map_of(0), folder=tmp_path)
    assert drawn_parts(maps, 2) == [0, 0]
    assert not list(tmp_path.iterdir())


def test_a_folder_without_room_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: found no room for .* MiB"):
        FeatureMaps([map_of(0)], 2**55, tmp_path)


def test_of_many_pictures_those_with_defects_are_kept() -> None:
    defective, outlined = torch.arange(100) >= 90, torch.arange(100) != 95
    rows = chosen(defective, outlined, 30, torch.Generator().manual_seed(0)).tolist()
    assert rows[-9:] == [90, 91, 92, 93, 94, 96, 97, 98, 99]
    assert len(rows) == 30
    assert len(chosen(defective, outlined, 100, torch.Generator())) == 99
