import json
import resource
from pathlib import Path

import pytest
import torch

from bundle import Threshold
from train.data.splits import Split
from train.errors import CheckpointError
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, build_network, load_checkpoint, save_checkpoint


@pytest.fixture
def checkpoint(quick_recipe) -> Checkpoint:
    recipe = quick_recipe()
    network = make_network(recipe.network, 1, 2)
    meta = Meta(
        recipe=recipe,
        classes=("a", "b"),
        split=Split(kind="random", seed=0, images={}),
        thresholds={"a": Threshold(), "b": Threshold(score=0.25)},
        epoch=1,
    )
    return Checkpoint(meta, network.state_dict())


def test_file_gives_the_checkpoint_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "a.pt")
    found = load_checkpoint(tmp_path / "a.pt")
    assert found.meta == checkpoint.meta
    frames = torch.randint(0, 256, (1, 1, 48, 32), dtype=torch.uint8)
    assert torch.equal(build_network(found)(frames), build_network(checkpoint)(frames))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def other_weights(path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, path)


def newer_format(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True) | {"format": 2}, path)


def changed_meta(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["meta"] = content["meta"].replace('"epoch"', '"epoch_number"')
    torch.save(content, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "found no such file"),
        (truncate, "cannot be read as a checkpoint"),
        (lambda path: path.write_text("hello"), "cannot be read as a checkpoint"),
        (lambda path: path.write_bytes(b""), "cannot be read as a checkpoint"),
        (other_weights, "found a file of weights that `train` did not write"),
        (newer_format, "found checkpoint format 2, expected 1"),
        (changed_meta, "epoch_number: unknown key; it was written by another version"),
    ],
)
def test_bad_file_is_one_clear_line(checkpoint: Checkpoint, tmp_path: Path, damage, message: str) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(checkpoint, path)
    damage(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


DEMO = Path(__file__).parents[3] / "models" / "demo-tiles"


def test_a_bundle_is_told_apart_and_names_its_checkpoint() -> None:
    sha256 = json.loads((DEMO / "manifest.json").read_text())["made_from"]["checkpoint_sha256"]
    with pytest.raises(CheckpointError, match=f"demo-tiles: found a bundle.*name the best.pt of its run.*{sha256}"):
        load_checkpoint(DEMO)


@pytest.mark.parametrize(
    ("files", "message"),
    [({}, r"found a folder.*best\.pt"), ({"manifest.json": "{}"}, r"found a damaged bundle.*best\.pt of its run")],
)
def test_another_folder_is_one_clear_line(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(checkpoint: Checkpoint) -> None:
    weights = {key: value for key, value in checkpoint.weights.items() if "head" not in key}
    with pytest.raises(CheckpointError, match="weights do not fit the network can"):
        build_network(Checkpoint(checkpoint.meta, weights))
    with pytest.raises(CheckpointError, match="weights do not fit the network can") as caught:
        build_network(Checkpoint(checkpoint.meta, {}))  # all are missing
    assert len(str(caught.value)) < 300


def test_folder_that_takes_no_file_is_one_clear_line(checkpoint: Checkpoint, tmp_path: Path) -> None:
    blocked = tmp_path / "nowhere"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(CheckpointError, match=r"nowhere/a\.pt: cannot be written .*check the folder") as caught:
        save_checkpoint(checkpoint, blocked / "a.pt")
    assert "\n" not in str(caught.value)


def test_full_disk_is_one_clear_line_and_keeps_what_was_there(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "a.pt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # bytes; fails in the middle, as a full disk does
    try:
        with pytest.raises(CheckpointError, match=r"a\.pt: cannot be written"):
            save_checkpoint(checkpoint, tmp_path / "a.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
    assert load_checkpoint(tmp_path / "a.pt").meta == checkpoint.meta


def test_nothing_half_written_is_left(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "a.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
