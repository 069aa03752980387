import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from train.data.dataset import NotOutlined
from train.data.readers import read_dataset
from train.data.splits import make_split
from train.device import choose_compute
from train.errors import CheckpointError, DataError, SplitError, ThresholdError, TrainError
from train.loop.history import SECOND, EpochHistory
from train.loop.lr_schedule import learning_rate
from train.loop.progress import EpochProgress
from train.loop.run import Run
from train.models.checkpoint import Checkpoint, load_checkpoint
from train.recipe import Recipe

CPU = choose_compute("cpu", "float32")


def make_run(tiles: Path, recipe: Recipe, out: Path) -> Run:
    """Make a run that prints into nothing."""
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", recipe.seed)
    return Run(recipe, dataset, split, out, CPU, Console(file=io.StringIO()))


TILED = {"height": 48, "width": 32, "channels": 1, "tiles": {"height": 32, "width": 16, "overlap": 8}}


class InterruptedProgress(EpochProgress):
    """Raises KeyboardInterrupt at the second step of an epoch, as Ctrl-C does."""

    def __init__(self, epoch: int, *given: object):
        super().__init__(*given)
        self.at, self.steps = epoch, 0

    def start(self, epoch: int, images: int) -> None:
        super().start(epoch, images)
        self.epoch, self.steps = epoch, 0

    def step(self, images: int, loss: float) -> None:
        super().step(images, loss)
        self.steps += 1
        if self.epoch == self.at and self.steps == 2:
            raise KeyboardInterrupt


def untimed(checkpoint: Checkpoint) -> list[dict[str, object]]:
    """The history without how long it took."""
    return [row | {"seconds": 0, "waited_s": 0} for row in checkpoint.training["history"]]


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"run": {"epochs": 3, "batch": 8, "precision": "float32", "average": 0.9, "accumulate": 2}},
        {"crops": {"images": 12, "every": 1}},
        {"input": TILED, "tile_draws": {"per_picture": 2}, "crops": {"images": 12, "every": 1}},
    ],
    ids=["plain", "averaged", "crops", "tiles"],
)
def test_interrupted_and_resumed_gives_the_same_weights(tiles: Path, tmp_path: Path, quick_recipe, tables) -> None:
    recipe = quick_recipe(**tables)
    whole = make_run(tiles, recipe, tmp_path / "whole")
    whole.train()
    broken = make_run(tiles, recipe, tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        broken.train(lambda *given: InterruptedProgress(1, *given))
    resumed = make_run(tiles, recipe, tmp_path / "broken")
    resumed.resume()
    resumed.train()
    expected, found = load_checkpoint(whole.last), load_checkpoint(resumed.last)
    assert all(torch.equal(expected.weights[key], found.weights[key]) for key in expected.weights)
    assert found.meta == expected.meta
    assert untimed(found) == untimed(expected)


def test_seed_decides_the_weights(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    first, second, other = (
        make_run(tiles, quick_recipe(seed=seed), tmp_path / str(number)).trainer.network.state_dict()
        for number, seed in enumerate((1, 1, 2))
    )
    assert torch.equal(first["body.head.weight"], second["body.head.weight"])
    assert not torch.equal(first["body.head.weight"], other["body.head.weight"])


def test_run_learns_and_leaves_its_files(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    recipe = quick_recipe(
        run={"epochs": 15, "batch": 8, "precision": "float32"},
        network={"width": 8, "pooling": 2},
        loss={"schedule": "constant", "dice": 1.0},
        augment={},
    )
    run = make_run(tiles, recipe, tmp_path)
    run.train()
    metrics = run.test()
    assert metrics.union.average_precision > 0.9
    assert metrics.mean_iou_positives > 0.2
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["test"] == metrics.model_dump(mode="json")
    assert load_checkpoint(run.best).meta.metrics == stored
    shapes = np.array([sample.load_image().shape[:2] for sample in run.samples["train"]])
    assert stored["train"]["sizes"] == [shapes.min(axis=0).tolist(), shapes.max(axis=0).tolist()]
    low, high = stored["train"]["brightness"]
    means = run.load("train").images.mean(axis=(1, 2, 3))
    assert means.min() <= low <= np.median(means) <= high <= means.max()
    assert {path.name for path in tmp_path.iterdir()} >= {"best.pt", "last.pt", "split.json", "metrics.json"}


def test_run_learns_from_tiles_and_is_measured_on_whole_pictures(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    recipe = quick_recipe(
        input=TILED,
        run={"epochs": 8, "batch": 8, "precision": "float32"},
        network={"width": 8, "pooling": 2},
        loss={"schedule": "constant", "dice": 1.0},
        augment={},
        tile_draws={"per_picture": 2},
    )
    run = make_run(tiles, recipe, tmp_path)
    run.train()
    metrics = run.test()
    found = run.evaluate_part(load_checkpoint(run.best), "test")
    assert metrics.union.average_precision > 0.9
    assert found.outputs.masks.shape[2:] == (24, 16)
    assert found.images.images.shape[2:] == (48, 32)
    assert (tmp_path / "report.html").is_file()


def test_tiles_of_another_size_are_another_recipe(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    make_run(tiles, quick_recipe(input=TILED, tile_draws={"per_picture": 1}), tmp_path).train()
    other = make_run(tiles, quick_recipe(tile_draws={"per_picture": 1}), tmp_path)
    with pytest.raises(CheckpointError, match=r"another recipe \(input\.tiles\.height: 32 there, None here\)"):
        other.resume()


def test_tiles_want_an_outline_of_each_defect(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    run = make_run(tiles, quick_recipe(input=TILED), tmp_path)
    index = next(index for index, one in enumerate(run.samples["train"]) if not one.good)
    outlines = tuple(None if one is None else NotOutlined() for one in run.samples["train"][index].outlines)
    sample = replace(run.samples["train"][index], outlines=outlines)
    run.samples["train"] = [sample if place == index else one for place, one in enumerate(run.samples["train"])]
    with pytest.raises(DataError, match=r"found no outline of its \w+ \(1 such\), expected one: a training tile"):
        run.train()


def test_best_is_of_the_epoch_with_the_best_measure(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    run = make_run(tiles, quick_recipe(), tmp_path)
    run.train()
    measures = [row["measures"]["mean_iou_positives"] for row in run.history.rows]
    best = load_checkpoint(run.best).meta
    assert measures[best.epoch - 1] == max(measures)


def test_folder_of_another_recipe_is_refused(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    make_run(tiles, quick_recipe(), tmp_path).train()
    other = make_run(tiles, quick_recipe(loss={"dice": 1.0}), tmp_path)
    with pytest.raises(CheckpointError, match=r"another recipe \(loss\.dice: 0\.0 there, 1\.0 here\)"):
        other.resume()


def test_a_loss_that_is_no_number_ends_the_run_and_says_so(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    run = make_run(tiles, quick_recipe(optimiser={"learning_rate": 1e30}), tmp_path)
    with pytest.raises(TrainError, match=r"epoch \d: found a loss that is nan, expected a finite number; lower"):
        run.train()


def test_weights_that_the_last_step_of_an_epoch_ruins_end_the_run_and_are_told(
    tiles: Path, tmp_path: Path, quick_recipe
) -> None:
    one_step = {"epochs": 1, "batch": 80, "precision": "float32"}
    run = make_run(tiles, quick_recipe(optimiser={"learning_rate": 1e30}, run=one_step), tmp_path)
    with pytest.raises(
        TrainError, match=r"epoch 1: found scores of the validation part whose sum is nan, expected a f"
    ):
        run.train()
    assert not run.best.exists()


def test_validation_without_a_class_is_refused_at_the_start(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", 0)
    having = {one.sha256 for one in dataset.samples if one.labels[1]}
    moved = {image: "train" if image in having else side for image, side in split.images.items()}
    with pytest.raises(ThresholdError, match="found no image with Break"):
        Run(
            quick_recipe(), dataset, split.model_copy(update={"images": moved}), tmp_path, CPU,
            Console(file=io.StringIO()),
        )  # fmt: skip


def test_learning_rate_warms_up_and_falls_to_nothing(quick_recipe) -> None:
    recipe = quick_recipe(optimiser={"learning_rate": 1.0, "curve": "cosine", "warmup_epochs": 2}).optimiser
    rates = [learning_rate(recipe, epoch, epochs=10) for epoch in (0, 1, 2, 6, 10)]
    assert rates == sorted(rates[:3]) + sorted(rates[3:], reverse=True)
    assert rates[2:] == pytest.approx([1.0, 0.5, 0.0])


@pytest.mark.parametrize("side", ["train", "val", "test"])
def test_a_part_without_images_is_refused_before_anything_else(
    tiles: Path, tmp_path: Path, quick_recipe, side: str
) -> None:
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", 0)
    others = {"train": "val", "val": "train", "test": "train"}
    moved = {image: others[side] if found == side else found for image, found in split.images.items()}
    with pytest.raises(SplitError, match=rf"found no image of .* in the {side} part \(.*{side} 0"):
        Run(
            quick_recipe(), dataset, split.model_copy(update={"images": moved}), tmp_path, CPU,
            Console(file=io.StringIO()),
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_batch_smaller_than_its_parts_is_refused(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    recipe = quick_recipe(run={"epochs": 1, "batch": 8, "accumulate": 4, "precision": "float32"})
    run = make_run(tiles, recipe, tmp_path)
    run.samples["train"] = run.samples["train"][:3]
    with pytest.raises(TrainError, match=r"run\.accumulate: found a batch of 3 images for 4 parts"):
        run.train()


def test_a_finished_run_is_extended_with_more_epochs(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    make_run(tiles, quick_recipe(run={"epochs": 1, "batch": 8, "precision": "float32"}), tmp_path).train()
    longer = make_run(tiles, quick_recipe(run={"epochs": 3, "batch": 8, "precision": "float32"}), tmp_path)
    longer.resume()
    longer.train()
    assert load_checkpoint(longer.last).meta.epoch == 3
    assert load_checkpoint(longer.last).meta.recipe.run.epochs == 3


def test_fewer_epochs_than_before_are_refused(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    make_run(tiles, quick_recipe(run={"epochs": 2, "batch": 8, "precision": "float32"}), tmp_path).train()
    shorter = make_run(tiles, quick_recipe(run={"epochs": 1, "batch": 8, "precision": "float32"}), tmp_path)
    with pytest.raises(CheckpointError, match=r"another recipe \(run\.epochs: 2 there, 1 here\)"):
        shorter.resume()


def test_more_epochs_do_not_hide_another_recipe(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    make_run(tiles, quick_recipe(run={"epochs": 1, "batch": 8, "precision": "float32"}), tmp_path).train()
    other = make_run(
        tiles, quick_recipe(run={"epochs": 2, "batch": 8, "precision": "float32"}, loss={"dice": 1.0}), tmp_path
    )
    with pytest.raises(CheckpointError, match=r"another recipe \(loss\.dice: 0\.0 there, 1\.0 here\)"):
        other.resume()


def test_the_test_part_knows_no_image_of_the_start_checkpoint(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    first = make_run(tiles, quick_recipe(run={"epochs": 1, "batch": 8}), tmp_path / "first")
    first.train()
    second = make_run(tiles, quick_recipe(seed=1, run={"epochs": 1, "batch": 8}), tmp_path / "second")
    with pytest.raises(CheckpointError, match=r"found \d+ of \d+ images of the test part among those that trained it"):
        second.start_from(first.best)


def test_images_of_all_earlier_checkpoints_are_known(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    recipe = quick_recipe(run={"epochs": 1, "batch": 8})
    first, second = (make_run(tiles, recipe, tmp_path / name) for name in ("first", "second"))
    first.train()
    second.start_from(first.best)
    second.train()
    stored = load_checkpoint(second.best).meta
    assert set(stored.seen) == {image for image, side in first.split.images.items() if side != "test"}


def test_a_network_that_never_saw_a_defect_is_refused(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    dataset = read_dataset(tiles)
    good = replace(dataset, samples=tuple(one for one in dataset.samples if one.good))
    with pytest.raises(SplitError, match="no image with a defect among the 30 of the training part"):
        Run(quick_recipe(), good, make_split(good, "by-part", 0), tmp_path, CPU, Console(file=io.StringIO()))


def test_of_equal_epochs_the_one_with_the_better_second_measure_is_kept(quick_recipe) -> None:
    history = EpochHistory(quick_recipe(run={"epochs": 9, "patience": 1, "best": "mean_iou_positives"}).run)
    for second in (0.2, 0.9, 0.5):
        better = history.is_better(0.0, second)
        assert better == (second != 0.5)
        history.rows.append({"measures": {"mean_iou_positives": 0.0, SECOND: second}})
    assert not history.finished()
    history.rows.append({"measures": {"mean_iou_positives": 0.0, SECOND: 0.1}})
    assert history.finished()
