"""Checks of the data before training."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import InputSpec
from tests.torchvision_operators import declare_torchvision_operators
from tests.train.cli.test_main import RECIPE, run_main
from train.cli.training import following, frozen_at_random, mixed_parts
from train.data.check.checks import check_images
from train.data.dataset import Dataset, NotOutlined, Sample
from train.data.readers import read_dataset
from train.data.splits import Split
from train.recipe import Recipe, load_recipe


def stained(folder: Path, *, colour: bool, side_px: int = 8) -> Path:
    """Write parts whose stains differ from the grey surface in colour alone."""
    for place in ("images", "masks/stain"):
        (folder / place).mkdir(parents=True)
    for part in range(8):
        generator = np.random.default_rng(part)
        image = np.repeat(generator.integers(90, 110, (32, 32, 1), dtype=np.uint8), 3, axis=2)
        if part % 2:
            image[8 : 8 + side_px, 8 : 8 + side_px] = (60, 100, 110)  # blue, green, red: about 100 in grey
            mask = np.zeros((32, 32), np.uint8)
            mask[8 : 8 + side_px, 8 : 8 + side_px] = 255
            cv2.imwrite(str(folder / "masks" / "stain" / f"p{part}.png"), mask)
        cv2.imwrite(str(folder / "images" / f"p{part}.png"), image if colour else image[..., 1])
    return folder


def followed(folder: Path, *overrides: str, name: str = "own-parts") -> tuple[Recipe, tuple[str, ...]]:
    dataset = read_dataset(folder)
    recipe = load_recipe(name, overrides)
    split = Split(kind="by-part", seed=0, images={one.sha256: "train" for one in dataset.samples})
    return following(recipe, check_images(dataset, InputSpec(height=32, width=32, channels=1)), split)


@pytest.mark.parametrize("side_px", [1, 8, 20])
def test_stains_in_colour_get_three_channels_and_are_told(tmp_path: Path, side_px: int) -> None:
    recipe, (line,) = followed(stained(tmp_path, colour=True, side_px=side_px))
    assert recipe.input.channels == len(recipe.network.mean) == len(recipe.network.deviation) == 3
    assert line.startswith(
        "input follows the pictures: colour, 3 channels (classes that differ in colour: stain); mean [0.39"
    )


def test_coloured_parts_get_three_channels_whatever_their_stains(tmp_path: Path) -> None:
    folder = stained(tmp_path, colour=False)
    for path in (folder / "images").iterdir():
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), np.dstack([grey - 20, grey, grey + 20]))
    recipe, (line,) = followed(folder)
    assert recipe.input.channels == 3
    assert line.startswith("input follows the pictures: colour, 3 channels; mean [0.46")


def test_grey_pictures_in_three_channels_get_one(tmp_path: Path) -> None:
    folder = stained(tmp_path, colour=False)
    for path in (folder / "images").iterdir():
        cv2.imwrite(str(path), np.dstack([cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)] * 3))
    recipe, (line,) = followed(folder)
    assert recipe.input.channels == 1
    assert line.startswith("input follows the pictures: grey, 1 channel; mean")


def test_grey_pictures_get_one_channel(tmp_path: Path) -> None:
    recipe, (line,) = followed(stained(tmp_path, colour=False))
    assert (recipe.input.channels, len(recipe.network.mean)) == (1, 1)
    assert recipe.network.mean[0] == pytest.approx(0.38, abs=0.02)
    assert line.startswith("input follows the pictures: grey, 1 channel")


def test_without_an_outline_crops_are_switched_off(tmp_path: Path) -> None:
    folder = stained(tmp_path, colour=False)
    shutil.rmtree(folder / "masks")
    (folder / "labels.csv").write_text("image,class\n" + "".join(f"p{part}.png,stain\n" for part in range(1, 8, 2)))
    recipe, (_, line) = followed(folder)
    assert (recipe.crops.images, recipe.run.best) == (0, "union.average_precision")
    assert line.startswith("no defect of the training part has an outline: crops are switched off")
    assert load_recipe("own-parts").crops.images > 0


@pytest.mark.parametrize("overrides", [("input.channels=1",), ("follow=nothing",)])
def test_a_stated_number_of_channels_stands_with_a_warning(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    recipe, (line,) = followed(stained(tmp_path, colour=True), *overrides)
    assert recipe.input.channels == 1
    assert line.startswith("warning: found classes that differ from the pictures in colour (stain)")


@pytest.mark.parametrize("name", ["own-parts", "magnetic-tile"])
def test_the_advice_for_dropped_colour_does(tmp_path: Path, name: str) -> None:
    folder = stained(tmp_path, colour=True)
    channels = "input.channels=1"
    _, (line,) = followed(folder, channels, name=name)
    recipe, _ = followed(folder, channels, line.rpartition("--set ")[2], name=name)
    assert recipe.input.channels == 3


def test_a_stated_number_of_channels_that_drops_nothing_has_no_warning(tmp_path: Path) -> None:
    assert followed(stained(tmp_path, colour=False), "input.channels=1")[1] == ()


def test_parts_with_good_and_defective_pictures_are_told_where_they_are_judged_together() -> None:
    outline = NotOutlined()
    samples = [
        Sample(Path(f"{at}.png"), part, (kind,))
        for at, (part, kind) in enumerate(
            [("a", None), ("a", outline), ("b", outline), ("b", outline), ("c", None), ("c", None)]
        )
    ]
    dataset = Dataset("tiles", ("Pit",), tuple(samples))

    assert list(mixed_parts(dataset, load_recipe("few-defects"))) == []
    (line,) = mixed_parts(dataset, load_recipe("few-defects", ["thresholds.exposures=mean-odds"]))
    assert line.startswith("thresholds.exposures: 1 of 3 parts have good and defective pictures, such as a; they are")


def test_a_truncated_test_picture_is_found_before_the_first_epoch(tiles: Path, tmp_path: Path, capsys) -> None:
    folder = Path(shutil.copytree(tiles, tmp_path / "tiles"))
    for path in sorted(folder.rglob("*.jpg"))[:3]:
        path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "mine.toml").write_text(RECIPE)
    assert run_main("--data", folder, "--recipe", tmp_path / "mine.toml", "--out", tmp_path / "run") == 2
    told = capsys.readouterr()
    assert "found a truncated image" in told.err
    assert "(and 2 more problems: `train check" in told.err
    assert not (tmp_path / "run").exists()


def test_finetuning_extends_the_split_of_the_start_checkpoint(tiles: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "mine.toml").write_text(RECIPE)
    options = ("--data", tiles, "--recipe", tmp_path / "mine.toml")
    run_main(*options, "--out", tmp_path / "first", "--seed", 3)
    start = ("--init", tmp_path / "first" / "best.pt")
    assert run_main(*options, *start, "--out", tmp_path / "second", "--seed", 4) == 0
    told = capsys.readouterr().out
    assert "extended: 80 images keep their part, 0 new ones are dealt" in told
    assert "train: 50 images of 25 parts; images (parts): good" in told


def test_a_run_with_folds_is_repeated_from_its_own_split(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare_torchvision_operators()
    small = ["input.height=48", "input.width=32", "run.epochs=1", "crops.images=0"]
    settings = [word for one in (*small, "thresholds.folds=2") for word in ("--set", one)]
    command = ("--data", tiles, "--recipe", "few-defects", "--no-pretrained", "--threads", 1, *settings)
    assert run_main(*command, "--out", tmp_path) == 0
    assert "  val: " not in capsys.readouterr().out
    first = (tmp_path / "metrics.json").read_bytes()
    assert run_main(*command, "--split", tmp_path / "split.json", "--out", tmp_path) == 0
    assert (tmp_path / "metrics.json").read_bytes() == first


def test_layers_that_keep_random_weights_are_told() -> None:
    for name in ("few-defects", "good-only", "magnetic-tile-unet"):
        assert list(frozen_at_random(load_recipe(name))) == []
        (line,) = frozen_at_random(load_recipe(name, ["network.pretrained=false"]))
        assert line.startswith(f"network.pretrained: found false in recipe {name}")
    learning = ["network.pretrained=false", "optimiser.frozen_stages=0"]
    assert list(frozen_at_random(load_recipe("magnetic-tile-unet", learning))) == []
    assert list(frozen_at_random(load_recipe("magnetic-tile", ["network.pretrained=false"]))) == []
