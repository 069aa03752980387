import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.train.cli.test_main import run_main
from train.loop.distributed import DistributedGroup
from train.models.checkpoint import Checkpoint, load_checkpoint

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


def check_same(one: Checkpoint, several: Checkpoint) -> None:
    """Check that a training by several processes is that of one.

    A process whose weights drift would send other gradients, and so change the weights of the leader too. Without an
    exchange of gradients the losses agree to 1e-5, the weights only to 1e-4. Tolerances: float32 sums in another order.
    """
    ours, theirs = ([row["loss"] for row in found.training["history"]] for found in (several, one))
    assert ours == pytest.approx(theirs, rel=1e-5)
    torch.testing.assert_close(several.weights, one.weights, rtol=0.0, atol=1e-6)


def ended_together(commands: list[list[str]]) -> list[str]:
    """Run launchers side by side to their ends; returns what each printed."""
    processes = [subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for one in commands]
    try:
        said = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.terminate()  # a launcher ends its workers, which a SIGKILL would leave behind
            process.wait(timeout=60)
    assert [process.returncode for process in processes] == [0] * len(processes), said
    return [told for told, _ in said]


@pytest.fixture(scope="module")
def arguments(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    recipe = tmp_path_factory.mktemp("recipe") / "parallel.toml"
    recipe.write_text(RECIPE)
    return ["--data", str(tiles), "--recipe", str(recipe), "--device", "cpu", "--threads", "1", "--out"]


@pytest.fixture(scope="module")
def of_one(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    out = tmp_path_factory.mktemp("one") / "run"
    assert run_main(*arguments, out) == 0
    return load_checkpoint(out / "last.pt")


@pytest.fixture
def nodes() -> Iterator[dict[str, str]]:
    """Two network namespaces, joined by a pair of virtual network cards: name -> address, by rank."""
    nodes = {f"edge-{os.getpid()}-{rank}": f"10.77.0.{rank + 1}" for rank in range(2)}
    first, second = nodes

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        try:
            ip("netns", "add", first)
            ip("netns", "add", second)
            ip("link", "add", "node", "netns", first, "type", "veth", "peer", "name", "node", "netns", second)
            for name, address in nodes.items():
                ip("-n", name, "address", "add", f"{address}/24", "dev", "node")
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "link", "set", "node", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"two network namespaces need root, iproute2 and veth: {error}")
        yield nodes
    finally:
        for name in nodes:
            with suppress(OSError, subprocess.CalledProcessError):
                ip("netns", "delete", name)


def test_two_processes_give_the_losses_and_weights_of_one(
    arguments: list[str], of_one: Checkpoint, tmp_path: Path
) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    (told,) = ended_together([[*launcher, "-m", "train.cli.main", *arguments, str(tmp_path / "two")]])
    assert told.count("epoch 2/2") == 1  # only one of them talks
    assert "in 2 processes" in told
    check_same(of_one, load_checkpoint(tmp_path / "two" / "last.pt"))


def test_two_nodes_give_the_losses_and_weights_of_one(
    arguments: list[str], of_one: Checkpoint, nodes: dict[str, str], tmp_path: Path
) -> None:
    leader = next(iter(nodes.values()))
    meeting = f"--nnodes 2 --nproc-per-node 1 --master-addr {leader} --master-port 29500".split()
    launcher = ["env", "GLOO_SOCKET_IFNAME=node", sys.executable, "-m", "torch.distributed.run", *meeting]
    commands = [
        ["ip", "netns", "exec", name, *launcher, "--node-rank", str(rank), "-m", "train.cli.main", *arguments]
        for rank, name in enumerate(nodes)
    ]
    first, second = ended_together([[*command, str(tmp_path / "two")] for command in commands])
    assert (first.count("epoch 2/2"), second.count("epoch 2/2")) == (1, 0)  # only the leader talks
    check_same(of_one, load_checkpoint(tmp_path / "two" / "last.pt"))


def test_shares_cover_the_batch_once() -> None:
    shares = [DistributedGroup(rank, 3).shard(torch.arange(12)).tolist() for rank in range(3)]
    assert sorted(row for share in shares for row in share) == list(range(12))
    assert {len(share) for share in shares} == {4}
