import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import Threshold, mean_odds
from tests.train.cli.test_main import run_main
from train.data.dataset import Dataset
from train.data.folds import make_folds
from train.data.readers import read_dataset
from train.data.splits import Split, make_split
from train.device import choose_compute
from train.errors import DataError, ThresholdError
from train.evaluate.held_out import HELD_OUT, with_held_out_thresholds
from train.evaluate.predict import evaluate_checkpoint
from train.loop.lr_schedule import epoch_generator
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, load_checkpoint, save_checkpoint
from train.recipe import Recipe, with_overrides

CPU = choose_compute("cpu", "float32")


@pytest.fixture
def recipe(quick_recipe) -> Recipe:
    return quick_recipe()


@pytest.fixture
def dataset(tiles: Path) -> Dataset:
    return read_dataset(tiles)


def untrained(recipe: Recipe, dataset: Dataset, split: Split, seed: int) -> Checkpoint:
    """A checkpoint of fresh weights: the scores are of no use, and still each network's own."""
    epoch_generator(seed, 0)
    network = make_network(recipe.network, 1, len(dataset.classes))
    thresholds = {name: Threshold() for name in dataset.classes}
    meta = Meta(recipe=recipe, classes=dataset.classes, split=split, thresholds=thresholds, epoch=1)
    return Checkpoint(meta, network.state_dict())


@pytest.fixture
def folds(recipe: Recipe, dataset: Dataset) -> dict[str, Checkpoint]:
    splits = make_folds(dataset, "by-part", 0, 4).splits
    return {f"fold-{n}": untrained(recipe, dataset, split, n) for n, split in enumerate(splits, start=1)}


@pytest.fixture
def shipped(recipe: Recipe, dataset: Dataset) -> Checkpoint:
    return untrained(recipe, dataset, make_split(dataset, "by-part", 7), seed=9)


def said_of_all(folds: dict[str, Checkpoint], dataset: Dataset) -> dict[str, np.ndarray]:
    """The scores of each image by the fold that tests it."""
    rows = [evaluate_checkpoint(with_any(fold), dataset, fold.meta.split, "test", CPU)[0] for fold in folds.values()]
    return {row.image: row.scores for one in rows for row in one.images}


def with_any(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with some thresholds, as it takes some to evaluate it."""
    some = {name: Threshold(score=0.5, level=128, min_area_px=0) for name in checkpoint.meta.classes}
    return replace(checkpoint, meta=checkpoint.meta.model_copy(update={"thresholds": some}))


def test_thresholds_are_those_of_the_other_images_by_who_did_not_see_them(shipped, folds, dataset, recipe) -> None:
    """With "max-escapes" at none a threshold is the lowest score of its class, which says whose scores were used."""
    strict = with_overrides(recipe, ["thresholds.choose=max-escapes"])
    made = with_held_out_thresholds(shipped, folds, dataset, strict, CPU)
    scores = said_of_all(folds, dataset)
    others = [one for one in dataset.samples if shipped.meta.split.images[one.sha256] != "test"]
    for index, name in enumerate(dataset.classes):
        lowest = min(float(scores[one.sha256][index]) for one in others if one.labels[index])
        assert made.meta.thresholds[name].score == pytest.approx(lowest, abs=1e-6)


def test_thresholds_of_exposures_together_are_of_their_common_scores(shipped, folds, dataset, recipe) -> None:
    """Though the runs were measured by the worst picture of a part."""
    together = with_overrides(recipe, ["thresholds.choose=max-escapes", "thresholds.exposures=mean-odds"])
    made = with_held_out_thresholds(shipped, folds, dataset, together, CPU)
    scores = said_of_all(folds, dataset)
    others = [one for one in dataset.samples if shipped.meta.split.images[one.sha256] != "test"]
    exposures: dict[str, list[np.ndarray]] = {}
    for one in others:
        exposures.setdefault(one.part, []).append(scores[one.sha256])
    assert max(map(len, exposures.values())) > 1
    for index, name in enumerate(dataset.classes):
        defective = {one.part for one in others if one.labels[index]}
        lowest = min(float(mean_odds(np.stack(exposures[part]))[index]) for part in defective)
        assert made.meta.thresholds[name].score == pytest.approx(lowest, abs=1e-6)


def test_weights_stay_and_what_was_chosen_is_kept(shipped, folds, dataset, recipe) -> None:
    strict = with_overrides(recipe, ["thresholds.choose=max-escapes"])
    made = with_held_out_thresholds(shipped, folds, dataset, strict, CPU)
    assert made.weights is shipped.weights
    assert made.meta.recipe == strict
    assert made.meta.metrics[HELD_OUT]["escapes"]["count"] == 0
    tested = sum(side == "test" for side in shipped.meta.split.images.values())
    assert made.meta.metrics[HELD_OUT]["images"] == len(dataset.samples) - tested


def test_the_own_test_part_changes_nothing(shipped, folds, dataset, recipe) -> None:
    """A run that tests nothing but the checkpoint's own test part is as good as none."""
    own = untrained(recipe, dataset, shipped.meta.split, seed=5)
    made = with_held_out_thresholds(shipped, folds, dataset, recipe, CPU)
    again = with_held_out_thresholds(shipped, {**folds, "own": own}, dataset, recipe, CPU)
    assert again.meta.thresholds == made.meta.thresholds


def test_an_image_of_two_runs_is_refused(shipped, folds, dataset, recipe) -> None:
    with pytest.raises(DataError, match="found in the test parts of two runs, expected folds"):
        with_held_out_thresholds(shipped, {**folds, "again": folds["fold-1"]}, dataset, recipe, CPU)


def test_runs_that_test_nothing_else_are_refused(shipped, dataset, recipe) -> None:
    with pytest.raises(DataError, match="own: found no test image beside those of the checkpoint's own test part"):
        with_held_out_thresholds(shipped, {"own": shipped}, dataset, recipe, CPU)


def test_runs_of_another_input_are_refused(shipped, folds, dataset, recipe) -> None:
    other = with_overrides(recipe, ["input.height=64"])
    strange = {"strange": untrained(other, dataset, folds["fold-1"].meta.split, seed=1)}
    with pytest.raises(DataError, match=r"strange: found another input than the checkpoint's, .*height=64"):
        with_held_out_thresholds(shipped, strange, dataset, recipe, CPU)


def test_a_class_that_no_run_tests_is_refused(shipped, folds, dataset, recipe) -> None:
    split = folds["fold-1"].meta.split
    labels = {one.sha256: one.labels for one in dataset.samples}
    sides = {image: "train" if labels[image][2] else side for image, side in split.images.items()}
    one = untrained(recipe, dataset, Split(kind="by-part", seed=0, images=sides), seed=1)
    with pytest.raises(ThresholdError, match="test parts of the runs: found no image with Crack"):
        with_held_out_thresholds(shipped, {"one": one}, dataset, recipe, CPU)


def test_command_writes_a_checkpoint(shipped, folds, tiles: Path, tmp_path: Path, capsys) -> None:
    save_checkpoint(shipped, tmp_path / "shipped.pt")
    for name, fold in folds.items():
        (tmp_path / name).mkdir()
        save_checkpoint(fold, tmp_path / name / "best.pt")
    out = tmp_path / "chosen.pt"
    arguments = ("thresholds", tmp_path / "shipped.pt", *(tmp_path / name for name in folds))
    how = ("--set", "thresholds.choose=fixed", "--set", "thresholds.score=0.25", "--threads", 1)
    assert run_main(*arguments, "--data", tiles, "--out", out, *how, "--force") == 0
    told = capsys.readouterr().out
    assert "thresholds chosen on these" in told
    assert re.search(r"Fray\W+0\.5000\W+0\.2500\W+128\W+0\W", told)
    assert {one.score for one in load_checkpoint(out).meta.thresholds.values()} == {0.25}


@pytest.mark.parametrize(("score", "said"), [("0.0", "good images rejected"), ("1.0", "defective images accepted")])
def test_a_choice_of_no_use_is_refused_without_force(
    shipped, folds, tiles: Path, tmp_path: Path, capsys, score: str, said: str
) -> None:
    save_checkpoint(shipped, tmp_path / "shipped.pt")
    save_checkpoint(folds["fold-1"], tmp_path / "fold.pt")
    out = tmp_path / "chosen.pt"
    arguments = ("thresholds", tmp_path / "shipped.pt", tmp_path / "fold.pt", "--data", tiles, "--out", out)
    how = ("--set", "thresholds.choose=fixed", "--set", f"thresholds.score={score}", "--threads", 1)
    assert run_main(*arguments, *how) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()
    assert run_main(*arguments, *how, "--force") == 0


def test_command_refuses_what_the_weights_depend_on(shipped, tiles: Path, tmp_path: Path, capsys) -> None:
    save_checkpoint(shipped, tmp_path / "shipped.pt")
    arguments = ("thresholds", tmp_path / "shipped.pt", tmp_path, "--data", tiles, "--out", tmp_path / "out.pt")
    assert run_main(*arguments, "--set", "input.height=64") == 2
    assert "expected thresholds.KEY=VALUE" in capsys.readouterr().err


def test_command_does_not_write_over_the_checkpoint(shipped, tiles: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "shipped.pt"
    save_checkpoint(shipped, file)
    before = file.read_bytes()
    assert run_main("thresholds", file, tmp_path, "--data", tiles, "--out", tmp_path / "." / "shipped.pt") == 2
    assert "found a checkpoint of a run, which would be lost" in capsys.readouterr().err
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"a picture, say", None])
def test_command_replaces_nothing_but_thresholds_chosen_before(
    shipped: Checkpoint, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    file, out = tmp_path / "shipped.pt", tmp_path / "out.pt"
    save_checkpoint(shipped, file)
    save_checkpoint(replace(shipped, meta=shipped.meta.model_copy(update={"metrics": {"test": {}}})), out)
    if content is not None:
        out.write_bytes(content)
    before = out.read_bytes()
    arguments = ("thresholds", file, "--data", tiles, "--force", "--threads", 1)
    assert run_main(*arguments, "--out", out) == 2
    assert f"--out {out}: found a" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert run_main(*arguments, "--out", tmp_path) == 2
    assert capsys.readouterr() == (
        "",
        f"train: --out {tmp_path}: found a folder, which would be lost; name another file\n",
    )
    out.unlink()
    assert [run_main(*arguments, "--out", out) for _ in range(2)] == [0, 0]


def test_without_runs_the_own_validation_part_is_taken(shipped: Checkpoint, dataset: Dataset, recipe: Recipe) -> None:
    fixed = with_overrides(recipe, ["thresholds.choose=max-false-rejects", "thresholds.limit=0.2"])
    made = with_held_out_thresholds(shipped, {}, dataset, fixed, CPU)
    judged, _ = evaluate_checkpoint(made, dataset, shipped.meta.split, "val", CPU)
    assert judged.metrics().model_dump(mode="json") == made.meta.metrics[HELD_OUT]
    assert made.meta.recipe == fixed
    learnt = {image: "train" if side == "val" else side for image, side in shipped.meta.split.images.items()}
    split = shipped.meta.split.model_copy(update={"images": learnt})
    without = Checkpoint(shipped.meta.model_copy(update={"split": split}), shipped.weights)
    with pytest.raises(DataError, match="found no image of the checkpoint's validation part, expected some"):
        with_held_out_thresholds(without, {}, dataset, fixed, CPU)


def test_thresholds_are_chosen_again_by_the_command(shipped: Checkpoint, tiles: Path, tmp_path: Path) -> None:
    save_checkpoint(shipped, tmp_path / "best.pt")
    out = tmp_path / "again.pt"
    command = ("thresholds", tmp_path / "best.pt", "--data", tiles, "--out", out, "--set", "thresholds.shrinkage=4")
    assert run_main(*command, "--set", "thresholds.choose=f1", "--force", "--threads", 1) == 0
    assert load_checkpoint(out).meta.recipe.thresholds.shrinkage == 4
