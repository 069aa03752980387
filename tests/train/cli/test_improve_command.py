"""`train improve` on drawn tiles: a class that the first network does not know, then learns."""

from pathlib import Path

import numpy as np
import pytest

from tests.train.cli.test_main import run_main
from tests.train.conftest import tile
from tests.train.data.layouts.test_mask_folder import cv2
from train.models.checkpoint import load_checkpoint

RECIPE = """
split = "by-part"
[input]
height = 48
width = 32
channels = 1
[network]
width = 8
pooling = 4
prior = 0.05
[loss]
schedule = "constant"
share = 0.3
dice = 1.0
[optimiser]
learning_rate = 5e-3
beta1 = 0.9
[run]
epochs = 12
batch = 4
precision = "float32"
[thresholds]
choose = "against-good"
"""


def draw(folder: Path, kinds: list[str], seed: int) -> Path:
    """A data set in the plain layout, one image per part."""
    generator = np.random.default_rng(seed)
    for number, kind in enumerate(kinds):
        image, mask = tile(generator, kind)
        for path, values in ((folder / "images", image), (folder / "masks" / kind, mask)):
            if values is mask and kind == "Free":
                continue
            path.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path / f"{number}.png"), values)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network that knows one class, and its data."""
    folder = tmp_path_factory.mktemp("improve")
    (folder / "recipe.toml").write_text(RECIPE)
    old = draw(folder / "old", ["Blowhole"] * 12 + ["Free"] * 20, seed=1)
    arguments = ("--data", old, "--recipe", folder / "recipe.toml", "--out", folder / "run", "--threads", 1)
    assert run_main(*arguments) == 0
    return folder / "run" / "best.pt", old


def test_new_parts_are_learned_and_held_out_ones_stay_so(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, old = trained
    new = draw(tmp_path / "new", ["Uneven"] * 20 + ["Free"] * 6, seed=2)
    out = tmp_path / "out"
    options = ("--epochs", 30, "--set", "optimiser.learning_rate=5e-3", "--threads", 1)
    status = run_main("improve", checkpoint, "--data", old, "--data", new, "--out", out, *options)
    told = capsys.readouterr().out
    assert "new classes: Uneven" in told
    assert "defective, new" in told
    assert ("the later network is better" in told) == (status == 0)
    assert status == 0, told
    before, after = (load_checkpoint(path).meta for path in (checkpoint, out / "best.pt"))
    assert before.split.images.items() <= after.split.images.items()
    assert after.classes == ("Blowhole", "Uneven")


def test_the_same_parts_again_make_nothing_better(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, old = trained
    options = ("--epochs", 1, "--set", "optimiser.learning_rate=1e-6", "--threads", 1)
    assert run_main("improve", checkpoint, "--data", old, "--out", tmp_path / "out", *options) == 1
    assert "not shown to be better" in capsys.readouterr().out
