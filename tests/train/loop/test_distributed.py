import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.train.cli.test_main import run_main
from train.loop.distributed import DistributedGroup
from train.models.checkpoint import load_checkpoint

RECIPE = """
[input]
height = 48
width = 32
channels = 1
[network]
width = 4
pooling = 4
[optimiser]
freeze_batchnorm = true # each process sees half of a batch, so its statistics would differ
[augment]
flip_horizontal = true
brightness = 0.1
[crops]
images = 8
every = 1
[run]
epochs = 2
batch = 16
precision = "float32"
"""


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in load_checkpoint(out / "last.pt").training["history"]]


def test_two_processes_give_the_loss_curve_of_one(tiles: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "parallel.toml"
    recipe.write_text(RECIPE)
    arguments = ["--data", tiles, "--recipe", recipe, "--device", "cpu", "--threads", 1, "--out"]
    assert run_main(*arguments, tmp_path / "one") == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "train.cli.main", *map(str, arguments), str(tmp_path / "two")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            told, complained = process.communicate(timeout=600)
        finally:
            process.terminate()  # the launcher ends its workers, which a SIGKILL would leave behind
    assert process.returncode == 0, complained
    assert told.count("epoch 2/2") == 1  # only one of them talks
    assert "in 2 processes" in told
    # float32 sums in another order, over a few steps
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_shares_cover_the_batch_once() -> None:
    shares = [DistributedGroup(rank, 3).shard(torch.arange(12)).tolist() for rank in range(3)]
    assert sorted(row for share in shares for row in share) == list(range(12))
    assert {len(share) for share in shares} == {4}
