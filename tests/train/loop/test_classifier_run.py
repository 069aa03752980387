import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.torchvision_operators import declare_torchvision_operators
from train.data.dataset import Dataset
from train.data.readers import read_dataset
from train.data.splits import Split, make_split
from train.device import choose_compute
from train.errors import CheckpointError, SplitError
from train.loop.classifier_run import ClassifierRun
from train.loop.patches import DEFECTIVE_FROM, CutPicture, Patches
from train.models.checkpoint import load_checkpoint
from train.recipe import Recipe, load_recipe

CPU = choose_compute("cpu", "float32")


@pytest.fixture(scope="module", autouse=True)
def encoder() -> None:
    declare_torchvision_operators()


def recipe_of(*overrides: str) -> Recipe:
    small = ["input.height=48", "input.width=32", "network.pretrained=false", "run.epochs=2"]
    return load_recipe("few-defects", [*small, *overrides])


def run_of(dataset: Dataset, out: Path, recipe: Recipe, split: Split | None = None) -> ClassifierRun:
    split = split or make_split(dataset, "by-part", recipe.seed)
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


def patches_of(*pictures: CutPicture) -> Patches:
    return Patches(pictures, 10, torch.Generator().manual_seed(0))


def cut(part: int, fractions: list[list[float]]) -> CutPicture:
    shares = torch.tensor(fractions)
    return CutPicture(part, not bool(shares.any()), torch.full((len(fractions), 2), float(part)), shares)


def test_patches_at_the_edge_of_a_defect_are_left_out() -> None:
    patches = patches_of(cut(0, [[0.0], [DEFECTIVE_FROM / 2], [1.0]]), cut(1, [[0.0]]))
    assert patches.labels[:, 0].tolist() == [True, False, False]


def test_no_more_than_asked_are_kept_of_each_kind() -> None:
    patches = Patches([cut(0, [[0.0]] * 9 + [[1.0]] * 9), cut(1, [[0.0]] * 9)], 2, torch.Generator().manual_seed(0))
    assert patches.labels[:, 0].tolist() == [True, True, False, False, False, False]


def test_each_part_comes_as_often_as_another() -> None:
    patches = patches_of(cut(0, [[0.0, 1.0]] * 9), cut(1, [[1.0, 0.0]]), cut(2, [[0.0, 0.0]]))
    drawn = patches.draw(4000, torch.Generator().manual_seed(0))
    of_defects = drawn[patches.labels[drawn].any(dim=1)]
    parts = patches.descriptions[of_defects][:, 0]
    assert len(of_defects) == 2000
    assert np.isclose(float((parts == 1).float().mean()), 0.5, atol=0.05)


def test_classes_are_named_alike_often() -> None:
    patches = patches_of(cut(0, [[0.0, 1.0]] * 9), cut(1, [[1.0, 0.0]]), cut(2, [[0.0, 0.0]]))
    drawn, classes = patches.draw_named(8, torch.Generator().manual_seed(0))
    assert classes.tolist() == [0] * 8 + [1] * 8
    assert patches.labels[drawn, classes].all()
