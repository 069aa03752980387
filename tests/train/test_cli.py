import subprocess
import sys
from pathlib import Path

import pytest

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


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "train.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_command_trains_tests_and_goes_on(tiles: Path, recipe_file: Path, tmp_path: Path) -> None:
    arguments = ("--data", tiles, "--recipe", recipe_file, "--out", tmp_path, "--threads", 1)
    first = train(*arguments)
    assert first.returncode == 0, first.stderr
    assert "epoch 1/1: loss" in first.stdout
    assert "escapes" in first.stdout
    second = train(*arguments)
    assert "goes on after epoch 1 of 1" in second.stdout
    other = train(*arguments, "--seed", 5)
    assert other.returncode == 2
    assert "holds a run with another recipe (seed: 0 there, 5 here)" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere: found no such folder"),
        (["--set", "run.epoch=1"], "run.epoch: unknown key"),
        (["--split", "nofile.json"], "nofile.json: cannot be read"),
        (["--device", "cuda"], "found no CUDA device"),
    ],
)
def test_mistake_is_one_clear_line(
    tiles: Path, recipe_file: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    found = train("--data", tiles, "--recipe", recipe_file, "--out", tmp_path, *arguments)
    assert found.returncode == 2
    assert message in found.stderr
    assert len(found.stderr.splitlines()) == 1
