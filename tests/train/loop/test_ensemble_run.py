"""Joining finished runs: what comes out, what is refused, and the bundle of it."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch.nn import functional

from bundle import load_bundle
from export.cli import main as edge_export
from tests.torchvision_operators import declare_torchvision_operators
from tests.train.cli.test_main import RECIPE, run_main
from train.data.image_set import load_images
from train.data.readers import read_dataset
from train.data.splits import make_split
from train.device import choose_compute, compute_of
from train.errors import CheckpointError, RecipeError
from train.evaluate.predict import predict_with
from train.loop.ensemble_run import ensemble_recipe
from train.loop.run import Run
from train.models.checkpoint import Checkpoint, build_network, file_sha256, load_checkpoint

CPU = choose_compute("cpu", "float32")


@pytest.fixture(scope="module")
def joined(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs of different sizes, `a` and `b`, and their ensemble."""
    folder = tmp_path_factory.mktemp("ensemble")
    recipe = folder / "mine.toml"
    recipe.write_text(RECIPE)
    common = ("--data", tiles, "--recipe", recipe, "--threads", 1, "--epochs", 2)
    assert run_main(*common, "--out", folder / "a", "--set", "input.height=64", "--set", "input.width=48") == 0
    assert run_main(*common, "--out", folder / "b", "--seed", 0, "--set", "network.width=8") == 0
    checkpoints = (folder / "a/best.pt", folder / "b/best.pt")
    assert run_main("ensemble", *checkpoints, "--data", tiles, "--out", folder / "both", "--threads", 1) == 0
    return folder


def test_its_outputs_are_the_mean_of_the_members(joined: Path, tiles: Path) -> None:
    found, a, b = (load_checkpoint(joined / f"{name}/best.pt") for name in ("both", "a", "b"))
    dataset = read_dataset(tiles)
    images = load_images(dataset.samples[:6], found.meta.input, len(dataset.classes))
    with torch.inference_mode():
        frames = torch.from_numpy(images.images).float()
        first = build_network(a)(frames)
        smaller = functional.interpolate(frames, (48, 32), mode="bilinear", align_corners=False)
        second = functional.interpolate(
            build_network(b)(smaller), first.shape[2:], mode="bilinear", align_corners=False
        )
        scores = ((first + second) / 2).sigmoid().amax(dim=(2, 3))
    outputs = predict_with(found, images, CPU)
    assert (found.meta.input.height, found.meta.input.width) == (64, 48)
    assert outputs.scores == pytest.approx(scores.numpy(), abs=1e-4)


def test_it_is_measured_and_reported_as_any_run(joined: Path) -> None:
    meta = load_checkpoint(joined / "both/best.pt").meta
    assert {"train", "val", "test"} <= set(meta.metrics)
    assert meta.recipe.name == "ensemble"
    assert meta.members == tuple(file_sha256(joined / f"{name}/best.pt") for name in "ab")
    assert [member.width for member in meta.recipe.network.members] == [48, 32]
    assert {path.name for path in (joined / "both").iterdir()} >= {"metrics.json", "predictions.json", "report.html"}


def test_its_bundle_says_what_torch_says(joined: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        edge_export(["bundle", str(joined / "both/best.pt"), "--out", str(joined / "bundle")])
    assert not ended.value.code
    assert load_bundle(joined / "bundle").manifest.input.height == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("Crack",)}, r"b: found the classes Crack, expected those of a, .*train both on one data set"),
        ({"split": None}, "found another split"),
    ],
)
def test_runs_that_do_not_fit_are_refused(joined: Path, change: dict[str, object], message: str) -> None:
    a, b = (load_checkpoint(joined / f"{name}/best.pt") for name in "ab")
    if "split" in change:
        change = {"split": a.meta.split.model_copy(update={"seed": 7})}
    with pytest.raises(CheckpointError, match=message):
        ensemble_recipe({"a": a, "b": replace(b, meta=b.meta.model_copy(update=change))})


def test_a_run_that_learnt_the_validation_part_is_refused(joined: Path) -> None:
    a, b = (load_checkpoint(joined / f"{name}/best.pt") for name in "ab")
    thresholds = b.meta.recipe.thresholds.model_copy(update={"folds": 3})
    recipe = b.meta.recipe.model_copy(update={"thresholds": thresholds})
    with pytest.raises(CheckpointError, match=r"b: found a run that learnt the validation part .*folds=1"):
        ensemble_recipe({"a": a, "b": replace(b, meta=b.meta.model_copy(update={"recipe": recipe}))})


def test_the_choice_of_thresholds_may_differ(joined: Path, tiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("ensemble", joined / "a/best.pt", joined / "b/best.pt", "--data", tiles, "--threads", 1)
    assert run_main(*command, "--out", joined / "fixed", "--set", "thresholds.choose=fixed") == 0
    thresholds = load_checkpoint(joined / "fixed/best.pt").meta.thresholds
    assert {each.score for each in thresholds.values()} == {0.5}
    assert run_main(*command, "--out", joined / "other", "--set", "loss.dice=1") == 2
    assert "expected thresholds.KEY=VALUE" in capsys.readouterr().err


def test_a_run_in_the_folder_is_kept(joined: Path, tiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member = joined / "a/best.pt"
    before = member.read_bytes()
    assert run_main("ensemble", member, joined / "b/best.pt", "--data", tiles, "--out", joined / "a") == 2
    assert "found the best.pt of a run" in capsys.readouterr().err
    assert member.read_bytes() == before


def test_another_training_does_not_overwrite_it(joined: Path, tiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (joined / "both/best.pt").read_bytes()
    command = ("--data", tiles, "--recipe", joined / "mine.toml", "--threads", 1, "--epochs", 1)
    assert run_main(*command, "--out", joined / "both") == 2
    assert "holds a run with another recipe" in capsys.readouterr().err
    thresholds = ("thresholds", joined / "a/best.pt", joined / "b", "--data", tiles, "--out", joined / "both/best.pt")
    assert run_main(*thresholds) == 2
    assert "found a checkpoint of a run, which would be lost" in capsys.readouterr().err
    assert (joined / "both/best.pt").read_bytes() == before


def test_an_interrupted_join_is_made_again(joined: Path, tiles: Path) -> None:
    command = ("ensemble", joined / "a/best.pt", joined / "b/best.pt", "--data", tiles, "--threads", 1)
    assert run_main(*command, "--out", joined / "stopped") == 0
    (joined / "stopped/metrics.json").unlink()
    other = ("ensemble", joined / "a/last.pt", *command[2:])
    assert run_main(*other, "--out", joined / "stopped") == 2  # one of other members is kept
    assert run_main(*command, "--out", joined / "stopped") == 0
    assert (joined / "stopped/metrics.json").exists()


def test_a_member_that_is_not_the_end_of_a_run_is_told(
    joined: Path, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last, b = joined / "a/last.pt", joined / "b/best.pt"
    told = f"{last}: found no figures of the test part, expected best.pt of a finished run"
    assert run_main("ensemble", last, b, "--data", tiles, "--threads", 1, "--out", tmp_path / "early") == 0
    out = capsys.readouterr().out
    assert told in out
    assert out.count("of a finished run") == 1
    thresholds = ("thresholds", b, last, "--data", tiles, "--out", tmp_path / "t.pt", "--threads", 1)
    assert run_main(*thresholds) == 2  # both tested the same parts
    assert told in capsys.readouterr().out
    teacher = ("--data", tiles, "--recipe", joined / "mine.toml", "--teacher", last, "--epochs", 1, "--threads", 1)
    assert run_main(*teacher, "--split", joined / "a/split.json", "--out", tmp_path / "taught") == 0
    assert told in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        edge_export(["bundle", str(last), "--out", str(tmp_path / "bundle")])
    assert not ended.value.code
    assert told in capsys.readouterr().out


def test_a_file_in_the_place_of_the_folder_is_told(
    joined: Path, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file/deeper"):
        assert run_main("--data", tiles, "--recipe", joined / "mine.toml", "--epochs", 1, "--out", out) == 2
        assert f"--out {out}: found the file {tmp_path / 'file'}, expected a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_memory_of_good_parts_joins_networks_of_the_classes(joined: Path, tiles: Path, tmp_path: Path) -> None:
    declare_torchvision_operators()
    small = ("--set", "input.height=48", "--set", "input.width=32", "--set", "network.patches=20", "--no-pretrained")
    common = ("--data", tiles, "--threads", 1)
    assert (
        run_main(
            *common, "--recipe", "good-only", *small, "--split", joined / "a/split.json", "--out", tmp_path / "good"
        )
        == 0
    )
    a, good = joined / "a/best.pt", tmp_path / "good/best.pt"
    assert run_main("ensemble", a, good, *common, "--out", tmp_path / "both") == 0
    found = load_checkpoint(tmp_path / "both/best.pt")
    assert found.meta.classes == load_checkpoint(a).meta.classes
    assert [member.network.is_memory for member in found.meta.recipe.network.members] == [False, True]
    memory = build_network(load_checkpoint(good)).body.memory
    assert torch.equal(build_network(found).body.networks[1].body.memory, memory)
    with pytest.raises(CheckpointError, match="a memory of good parts as the first member"):
        ensemble_recipe({"good": load_checkpoint(good), "a": load_checkpoint(a)})


def test_a_classifier_of_patches_decides_and_the_others_help_to_outline(
    joined: Path, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare_torchvision_operators()
    small = ("--set", "input.height=48", "--set", "input.width=32", "--set", "crops.images=0", "--no-pretrained")
    common = ("--data", tiles, "--threads", 1)
    split = ("--split", joined / "a/split.json")
    assert run_main(*common, "--recipe", "few-defects", *small, *split, "--epochs", 1, "--out", tmp_path / "few") == 0
    few, a = tmp_path / "few/best.pt", joined / "a/best.pt"
    assert run_main("ensemble", few, a, *common, "--out", tmp_path / "both") == 0
    alone, found = load_checkpoint(few), load_checkpoint(tmp_path / "both/best.pt")
    assert found.meta.thresholds == alone.meta.thresholds
    assert set(found.meta.metrics) == {"train", "test"}
    images = load_images(read_dataset(tiles).samples[:6], found.meta.input, len(found.meta.classes))
    both, one = predict_with(found, images, CPU), predict_with(alone, images, CPU)
    assert both.scores == pytest.approx(one.scores, abs=1e-4)
    assert (both.masks != one.masks).any()

    assert run_main("ensemble", a, few, *common, "--out", tmp_path / "wrong") == 2
    assert "found a classifier of patches behind another member" in capsys.readouterr().err
    areas = {name: each.model_copy(update={"min_area_px": 64}) for name, each in alone.meta.thresholds.items()}
    with_areas = replace(alone, meta=alone.meta.model_copy(update={"thresholds": areas}))
    with pytest.raises(CheckpointError, match="few: found a smallest area of 64 pixels"):
        ensemble_recipe({"few": with_areas, "a": load_checkpoint(a)})
    thresholds = ("thresholds", tmp_path / "both/best.pt", joined / "b", "--data", tiles, "--out", tmp_path / "t.pt")
    assert run_main(*thresholds) == 2
    assert "kind of network" in capsys.readouterr().err
    assert run_main("ensemble", few, a, *common, "--out", tmp_path / "set", "--set", "thresholds.choose=f1") == 2
    assert "thresholds are that run's own" in capsys.readouterr().err


def test_one_run_is_not_enough(joined: Path, tiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = joined / "a/best.pt"
    for again in (one, one.parent / "../a/best.pt"):
        assert run_main("ensemble", one, again, "--data", tiles, "--out", joined / "again") == 2
        assert "found twice, expected best.pt of two or more runs" in capsys.readouterr().err
    assert run_main("ensemble", one, "--data", tiles, "--out", joined / "again") == 2
    assert "found 1 checkpoint, expected" in capsys.readouterr().err


def test_an_ensemble_is_not_trained_further(joined: Path, tiles: Path, tmp_path: Path) -> None:
    recipe = load_checkpoint(joined / "both/best.pt").meta.recipe
    dataset = read_dataset(tiles)
    split = make_split(dataset, "by-part", 0)
    with pytest.raises(RecipeError, match="train each of its members"):
        Run(recipe, dataset, split, tmp_path, CPU, Console(file=io.StringIO()))


def test_depthwise_members_compute_in_float32(joined: Path, quick_recipe: Callable[..., object]) -> None:
    both: Checkpoint = load_checkpoint(joined / "both/best.pt")
    first, second = both.meta.recipe.network.members
    lite = second.model_copy(update={"network": second.network.model_copy(update={"model": "unet-lite"})})
    network = both.meta.recipe.network.model_copy(update={"members": (first, lite)})
    assert compute_of("cpu", both.meta.recipe.model_copy(update={"network": network})).dtype == torch.float32
