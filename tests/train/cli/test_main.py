import json
import subprocess
import sys
from pathlib import Path

import pytest

from train.cli.main import main
from train.models.checkpoint import file_sha256, load_checkpoint

RECIPE = """
[input]
height = 48
width = 32
channels = 1
[network]
width = 4
pooling = 4
[run]
epochs = 1
batch = 8
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "mine.toml"
    path.write_text(RECIPE)
    return path


def run_main(*arguments: object) -> int:
    """Run the command in this process; returns its exit status."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def test_command_trains_tests_and_goes_on(tiles: Path, recipe_file: Path, tmp_path: Path, capsys) -> None:
    arguments = ("--data", tiles, "--recipe", recipe_file, "--out", tmp_path, "--threads", 1)
    assert run_main(*arguments) == 0
    first = capsys.readouterr().out
    assert "epoch 1/1: loss" in first
    assert "escapes" in first
    assert run_main(*arguments) == 0
    assert "resumes after epoch 1 of 1" in capsys.readouterr().out
    assert run_main(*arguments, "--seed", 5) == 2
    assert "holds a run with another recipe (seed: 0 there, 5 here)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere: found no such folder"),
        (["--set", "run.epoch=1"], "run.epoch: unknown key"),
        (["--set", "run.best=foo"], "run.best: found 'foo', expected one of accuracy_pairs, found_and_outlined, mean"),
        (
            ["--set", "run.best=escapes_at_few_false_rejects"],
            "run.best: found 'escapes_at_few_false_rejects', expected",
        ),
        (["--split", "nofile.json"], "nofile.json: cannot be read"),
        (["--device", "cuda"], "found no CUDA device"),
        (["--split", "bypart"], "bypart: cannot be read (No such file or directory); name a split file, random or"),
        (["--out", "/proc/run"], "/proc/run: No such file or directory; check the path"),
    ],
)
def test_mistake_is_one_clear_line(
    tiles: Path, recipe_file: Path, tmp_path: Path, capsys, arguments: list[str], message: str
) -> None:
    assert run_main("--data", tiles, "--recipe", recipe_file, "--out", tmp_path, *arguments) == 2
    found = capsys.readouterr().err
    assert message in found
    assert len(found.splitlines()) == 1


def test_more_threads_than_a_processor_has_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("--data", tmp_path, "--out", tmp_path, "--threads", 257) == 2
    assert "Invalid value for '--threads'" in capsys.readouterr().err


def test_help_says_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("--help") == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "(default: all cores)" in told
    assert "(default: the recipe's)" in told
    assert "after its last whole epoch" in told


def test_command_is_there() -> None:
    command = [sys.executable, "-m", "train.cli.main", "--recipe", "magnetic-tyle", "--data", ".", "--out", "."]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert found.returncode == 2
    assert found.stderr.startswith("train: recipe magnetic-tyle: found no such recipe")


def test_split_command_writes_what_training_reads(tiles: Path, recipe_file: Path, tmp_path: Path, capsys) -> None:
    split = tmp_path / "split.json"
    assert run_main("split", "--data", tiles, "--kind", "random", "--out", split) == 0
    assert "train 60, val 10, test 10 images" in capsys.readouterr().out
    arguments = ("--data", tiles, "--recipe", recipe_file, "--out", tmp_path / "run", "--split", split, "--dry-run")
    assert run_main(*arguments, "--set", "thresholds.choose=fixed") == 0
    assert "split random" in capsys.readouterr().out


@pytest.mark.parametrize(("names", "folds"), [((), ()), (("fold-1.json", "fold-2.json"), ("--folds", 2))])
def test_split_command_replaces_nothing_but_splits(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], folds: tuple[object, ...]
) -> None:
    arguments = ("split", "--data", tiles, "--out", tmp_path / "out", *folds)
    assert [run_main(*arguments) for _ in range(2)] == [0, 0]
    files = [tmp_path / "out" / name for name in names] or [tmp_path / "out"]
    before = files[0].read_bytes()
    files[-1].write_text("a picture, say")
    assert run_main(*arguments) == 2
    assert f"--out {files[-1]}: found a file that is no split, which would be lost" in capsys.readouterr().err
    assert files[-1].read_text() == "a picture, say"
    if names:
        assert files[0].read_bytes() == before


def test_folds_of_an_old_split_are_refused(tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("split", "--data", tiles, "--out", tmp_path / "folds", "--folds", 3, "--extend", tmp_path / "old.json")
    assert run_main(*arguments) == 2
    assert capsys.readouterr().err.startswith("train: split: found --folds and --extend, expected one of them")
    assert not (tmp_path / "folds").exists()


@pytest.mark.parametrize("command", ["split", "check"])
def test_a_seed_below_zero_is_refused(tiles: Path, tmp_path: Path, capsys, command: str) -> None:
    words = {"split": ("--data", tiles, "--out", tmp_path / "split.json"), "check": (tiles,)}[command]
    assert run_main(command, *words, "--seed", -1) == 2
    assert "Invalid value for '--seed'" in capsys.readouterr().err


def test_evaluate_command_prints_and_writes(tiles: Path, recipe_file: Path, tmp_path: Path, capsys) -> None:
    run_main("--data", tiles, "--recipe", recipe_file, "--out", tmp_path)
    written = tmp_path / "measures.json"
    assert run_main("evaluate", tmp_path / "best.pt", "--data", tiles, "--json", written) == 0
    assert "accuracy over image x class pairs" in capsys.readouterr().out
    assert json.loads(written.read_text()) == json.loads((tmp_path / "metrics.json").read_text())["test"]


def test_evaluate_on_all_images_takes_no_split(tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main("evaluate", tmp_path / "best.pt", "--data", tiles, "--part", "all", "--split", "by-part") == 2
    assert capsys.readouterr().err.startswith("train: split: found by-part with part all, which takes every image")


def test_finetuning_command_starts_from_a_checkpoint(tiles: Path, recipe_file: Path, tmp_path: Path, capsys) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run_main("--data", tiles, "--recipe", recipe_file, "--out", first)
    assert run_main("--data", tiles, "--recipe", recipe_file, "--out", second, "--init", first / "best.pt") == 0
    assert "starts from epoch 1 of mine" in capsys.readouterr().out
    assert load_checkpoint(second / "best.pt").meta.init == file_sha256(first / "best.pt")
