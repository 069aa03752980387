"""A teacher's masks as targets beside the ground truth: what they are, that they are learnt, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.train.loop.test_run import CPU, make_run
from train.errors import CheckpointError
from train.loop.run import Run
from train.loop.teacher import Teacher
from train.models.checkpoint import build_network, load_checkpoint, save_checkpoint
from train.recipe import Recipe

EPOCH = {"epochs": 1, "batch": 8, "precision": "float32"}


@pytest.fixture(scope="module")
def teacher(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """best.pt of a run of the same split, on a larger input."""
    recipe = Recipe.model_validate(
        {
            "name": "teacher",
            "input": {"height": 64, "width": 48, "channels": 1},
            "network": {"width": 4, "pooling": 4, "prior": 0.9},  # which the ground truth alone would never teach
            "run": EPOCH,
        }
    )
    run = make_run(tiles, recipe, tmp_path_factory.mktemp("teacher"))
    run.train()
    return run.best


def taught(tiles: Path, recipe: Recipe, out: Path, teacher: Path) -> Run:
    run = make_run(tiles, recipe, out)
    run.learn_from(teacher)
    return run


def test_its_targets_are_its_masks_on_the_grid_of_the_learner(teacher: Path) -> None:
    frames = torch.randint(0, 256, (2, 1, 64, 48), generator=torch.Generator().manual_seed(0)).float()
    stored = load_checkpoint(teacher)
    with torch.no_grad():
        masks = build_network(stored)(frames).sigmoid()  # [2, 3, 16, 12]
    targets = Teacher(stored, CPU).targets(frames, (16, 12))
    assert torch.allclose(targets.fractions, masks, atol=1e-5)
    assert torch.allclose(targets.labels, masks.amax(dim=(2, 3)), atol=1e-5)
    assert torch.allclose(targets.any_fraction, masks.amax(dim=1), atol=1e-5)
    smaller = Teacher(stored, CPU).targets(frames[:, :, ::2, ::2], (8, 6))
    assert smaller.fractions.shape == (2, masks.shape[1], 8, 6)


def test_a_network_taught_by_masks_alone_comes_nearer_to_its_teacher(
    tiles: Path, tmp_path: Path, quick_recipe: Callable[..., Recipe], teacher: Path
) -> None:
    recipe = quick_recipe(seed=0, loss={"teacher_share": 1.0}, run=EPOCH | {"epochs": 2})
    learner, alone = taught(tiles, recipe, tmp_path / "taught", teacher), make_run(tiles, recipe, tmp_path / "alone")
    frames = torch.from_numpy(alone.load("val").images)
    wanted = Teacher(load_checkpoint(teacher), CPU).targets(frames, (12, 8)).fractions

    def distance(run: Run) -> float:
        with torch.no_grad():
            return float((run.trainer.network.eval()(frames).sigmoid() - wanted).abs().mean())

    before = distance(alone)
    learner.train()
    alone.train()
    assert distance(learner) < before < distance(alone)


def test_a_resumed_run_keeps_its_teacher(
    tiles: Path, tmp_path: Path, quick_recipe: Callable[..., Recipe], teacher: Path
) -> None:
    recipe = quick_recipe(run=EPOCH)
    first = taught(tiles, recipe, tmp_path / "first", teacher)
    first.train()
    meta = load_checkpoint(first.best).meta
    assert meta.teacher
    assert set(meta.seen) == {one for one, side in first.split.images.items() if side != "test"}
    again = make_run(tiles, recipe, tmp_path / "first")
    again.resume()
    again.learn_from(teacher)
    with pytest.raises(CheckpointError, match="another teacher, found --teacher left out; name another --out"):
        again.learn_from(None)
    other = make_run(tiles, recipe, tmp_path / "second")
    other.train()
    other.resume()
    with pytest.raises(CheckpointError, match="no teacher, found --teacher"):
        other.learn_from(teacher)


def test_a_teacher_of_other_classes_is_refused(
    tiles: Path, tmp_path: Path, quick_recipe: Callable[..., Recipe], teacher: Path
) -> None:
    stored = load_checkpoint(teacher)
    names = tuple(f"Other{index}" for index in range(len(stored.meta.classes)))
    thresholds = dict(zip(names, stored.meta.thresholds.values(), strict=True))
    meta = stored.meta.model_copy(update={"classes": names, "thresholds": thresholds})
    save_checkpoint(replace(stored, meta=meta), tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"--teacher .*other.pt: found the classes"):
        taught(tiles, quick_recipe(run=EPOCH), tmp_path / "run", tmp_path / "other.pt")


def test_a_teacher_that_saw_the_test_part_is_refused(
    tiles: Path, tmp_path: Path, quick_recipe: Callable[..., Recipe], teacher: Path
) -> None:
    with pytest.raises(
        CheckpointError, match=r"--teacher .* images of the test part .*name the split .*, split\.json of its run"
    ):
        taught(tiles, quick_recipe(seed=1, run=EPOCH), tmp_path, teacher)
