from pathlib import Path

import pytest

from bundle import TileGrid, Tiling
from train.errors import RecipeError
from train.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipe_loads_under_its_name(name: str) -> None:
    assert load_recipe(name).name == name


def test_paper_recipe_has_the_documents_values() -> None:
    recipe = load_recipe("magnetic-tile-paper")
    assert recipe.loss.class_weights == (3, 3, 7, 8, 4)
    assert recipe.loss.mask_weights == (18, 13, 18, 13, 7)
    assert (recipe.optimiser.learning_rate, recipe.optimiser.beta1, recipe.optimiser.beta2) == (5e-4, 0.99, 0.99)
    assert (recipe.run.epochs, recipe.split, recipe.loss.schedule) == (100, "random", "classification-first")
    assert (recipe.loss.dice, recipe.loss.union) == (0, 0)


def test_override_sets_numbers_lists_and_words() -> None:
    recipe = load_recipe("demo-tiles", ["run.epochs=7", "loss.mask_weights=[1, 2, 3, 4, 5]", "loss.schedule=constant"])
    assert recipe.run.epochs == 7
    assert recipe.loss.mask_weights == (1, 2, 3, 4, 5)
    assert recipe.loss.schedule == "constant"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.dcie=1", r"loss\.dcie: unknown key, expected one of schedule, share, class_weights, mask_weights"),
        ("los.dice=1", r"los: unknown key, expected one of .*loss"),
        ("loss.dice=-1", r"loss\.dice: found -1, expected: .*greater than or equal to 0"),
        ("optimiser.learning_rate=inf", r"optimiser\.learning_rate: found inf, expected a finite number"),
        ("loss.class_weights=[1, inf, 1, 1, 1]", r"loss\.class_weights: found .*inf.*, expected"),
        ("thresholds.levels=[]", r"thresholds\.levels: found \[\], expected"),
        ("thresholds.levels=[300]", r"thresholds\.levels\.0: found 300, expected: .*255"),
        ("network.deviation=[0.0]", r"network\.deviation\.0: found 0\.0, expected: .*greater than 0"),
        ("seed=-1", "seed: found -1, expected: .*greater than or equal to 0"),
        ("loss.schedule=backwards", r"loss\.schedule: found 'backwards', expected: .*'classification-first'"),
        ("run.epochs", "found no equals sign, expected key=value"),
        ("seed.x=1", "seed is a value, expected a table"),
        ("network.pooling=7", "found an input of 320x240 with can, whose cells are 7 pixels"),
        ("network={weights = 'w.pth', pretrained = false}", "found weights w.pth without pretrained"),
        ("network.weights=w.pth", "found weights of can, which has no pretrained encoder; remove them"),
        ("input.channels=3", "expected 3 numbers each"),
    ],
)
def test_bad_override_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("demo-tiles", ["seed=0", override])
    assert "\n" not in str(caught.value)


def test_misspelt_key_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[input]\nheight = 8\nwidth = 8\nchannels = 1\n[run]\nepoch = 3\n")
    with pytest.raises(RecipeError, match=r"mine\.toml: run\.epoch: unknown key, expected one of epochs, batch"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[input]\nheight = 8 # \xe4\n", r"mine\.toml: found bytes that are not UTF-8 .*; save it as UTF-8"),
        (b"x = [1,\n", r"mine\.toml: .*; expected a TOML file"),
        (None, r"mine\.toml: cannot be read \(Is a directory\); expected a TOML file"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_clear_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "mine.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(str(path))
    assert "\n" not in str(caught.value)


def test_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(RecipeError, match="found no such recipe or file, expected one of demo-tiles, few-defects"):
        load_recipe("magnetic-tyle")


def test_tiles_are_set_with_defaults_on_the_command_line() -> None:
    sides = ["input.height=3000", "input.width=4096"]
    recipe = load_recipe("own-parts", [*sides, "input.tiles.overlap=32"])
    assert recipe.input.tiles == Tiling(height=512, width=512, overlap=32, batch=4)
    assert recipe.tile_grid == TileGrid.of(recipe.input.tiles, (3000, 4096), (1500, 2048))
    assert load_recipe("own-parts", sides).tile_grid is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["input.height=1000", "input.tiles.height=510"], r"found tiles of 510x512 with can-fine, whose cells are 4"),
        (["input.height=1001"], r"found pictures of 1001x2000 in tiles with can-fine, .*set input\.crop"),
        (["input.height=1000", "input.tiles.overlap=31"], r"input\.tiles: found height 512 with overlap 31, .*of 2"),
        (
            ["input.height=1000", "input.tiles.size=64"],
            r"input\.tiles\.size: unknown key, expected one of height, width, o",
        ),
        (["input.height=256"], r"tiles\.height: found 512, expected at most the picture's height 256"),
    ],
)
def test_tiles_that_do_not_fit_are_one_clear_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("own-parts", ["input.width=2000", "input.tiles={}", *overrides])


def test_only_the_classifier_of_patches_leaves_groups_out() -> None:
    with pytest.raises(RecipeError, match=r"found thresholds\.folds 3 with can-fine, expected 1"):
        load_recipe("own-parts", ["thresholds.folds=3"])


def test_weights_must_be_one_per_class() -> None:
    recipe = load_recipe("magnetic-tile-paper")
    with pytest.raises(RecipeError, match=r"loss\.class_weights: found 5 weights, expected 2, one per class a, b"):
        recipe.check_classes(("a", "b"))
