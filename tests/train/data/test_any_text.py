"""Fuzz tests of what people and other programs write for the training: it is read, or refused in one line."""

import json
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundle import encode_png
from tests.conftest import grey_frame
from tests.fuzzing import ODD, as_bytes, budget, damaged, one_line
from train.data.layouts.mask_folder import read_folder
from train.data.readers import read_dataset
from train.data.relabel import COLUMNS, FILE
from train.data.splits import load_split
from train.errors import DataError, RecipeError, SplitError
from train.recipe import load_recipe, recipe_names

pytestmark = pytest.mark.fuzz

RECIPES = [
    resources.files("train").joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8") for name in recipe_names()
]
SPLIT = json.dumps({"kind": "by-part", "seed": 7, "images": {"ab" * 32: "train", "cd" * 32: "val", "ef" * 32: "test"}})
SETTINGS = ["classes = ['Dark', 'Bright']\npart = '(p[0-9]+)_.*'\nbits = 12\nmasks = 'nonzero'\ncitation = 'us'\n"]
LABELS = ["image,class\np1_a,Dark\np2_a,good\n", '"image";"class"\np1_a;Dark\n', "image\tclass\np1_a\tDark\n"]
RELABEL = [",".join(COLUMNS) + f"\n{'ab' * 32},p1_a.png,p1,Dark,0.9,,odd,good\n"]


def data_set(folder: Path) -> Path:
    """Write two images of two parts, once."""
    if not (folder / "images").exists():
        for name, level in (("p1_a", 40), ("p2_a", 200)):
            for place, pixels in (("images", grey_frame(level)), ("masks/Dark", grey_frame(255))):
                (folder / place).mkdir(parents=True, exist_ok=True)
                (folder / place / f"{name}.png").write_bytes(encode_png(pixels))
    return folder


@budget
@given(text=damaged(RECIPES))
def test_any_recipe_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(as_bytes(text))
    try:
        load_recipe(str(path))
    except RecipeError as error:
        one_line(error)


@budget
@given(override=damaged(["loss.dice=0.5", "epochs=3", "input.height=64", 'network.model="can"', "note=a=b"]))
@example(override="\n0.5")
@example(override="l\noss.dice=0.5")
def test_any_override_is_taken_or_refused(override: str) -> None:
    try:
        load_recipe(recipe_names()[0], [override])
    except RecipeError as error:
        one_line(error)


@budget
@given(text=damaged([SPLIT]))
def test_any_split_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_bytes(as_bytes(text))
    try:
        load_split(path)
    except SplitError as error:
        one_line(error)


@pytest.mark.parametrize(
    ("name", "texts"),
    [("dataset.toml", SETTINGS), ("labels.csv", LABELS), (FILE, RELABEL)],
    ids=["toml", "labels", "relabel"],
)
@budget
@given(data=st.data())
def test_any_file_beside_the_images_is_read_or_refused(
    tmp_path: Path, name: str, texts: list[str], data: st.DataObject
) -> None:
    folder = data_set(tmp_path / "set")
    content = data.draw(damaged(texts).map(as_bytes) | st.binary(max_size=60) | st.sampled_from(ODD).map(as_bytes))
    (folder / name).write_bytes(content)
    try:
        read_folder(folder, pattern_s=2.0)
        read_dataset(folder)
    except DataError as error:
        one_line(error)
