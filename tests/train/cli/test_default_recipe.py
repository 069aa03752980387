import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.cli.default_recipe import RecipeChoice, choose_recipe


def write_parts(folder: Path, size: tuple[int, int], defective: int, defect_px: int, good: int = 2) -> Path:
    """Write grey pictures; the first `defective` ones with a square defect of this size."""
    for name in ("images", "masks/dent"):
        (folder / name).mkdir(parents=True)
    for number in range(defective + good):
        image = np.full(size, 100 + number, np.uint8)
        if number < defective:
            mask = np.zeros(size, np.uint8)
            mask[20 : 20 + defect_px, 30 : 30 + defect_px] = 255
            cv2.imwrite(str(folder / "masks" / "dent" / f"{number}.png"), mask)
            image[mask > 0] = 0
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
    return folder


def input_of(choice: RecipeChoice, *overrides: str) -> tuple[int, int]:
    spec = choice.recipe(overrides).input
    return spec.height, spec.width


def test_defects_are_learnt_where_there_are_enough(tmp_path: Path) -> None:
    choice = choose_recipe([write_parts(tmp_path / "parts", (192, 256), defective=8, defect_px=20)])
    assert choice.name == "own-parts"
    assert choice.reasons[0].startswith("no --recipe: own-parts, since 8 of 10 pictures (8 parts) have a defect")


def test_few_defects_leave_the_good_parts(tmp_path: Path) -> None:
    choice = choose_recipe([write_parts(tmp_path / "parts", (192, 256), defective=7, defect_px=20)])
    assert choice.recipe([]).good_only
    assert "fewer than 8 parts with a defect" in choice.reasons[0]


@pytest.mark.parametrize("named", [True, False], ids=["class without a mask", "no class"])
def test_no_defect_at_all_leaves_the_good_parts(tmp_path: Path, named: bool) -> None:
    parts = write_parts(tmp_path / "parts", (192, 256), defective=0, defect_px=0)
    if not named:
        shutil.rmtree(parts / "masks")
    choice = choose_recipe([parts])
    assert choice.name == "good-only"
    assert choice.reasons[1] == "input 256x192: pictures of 256x192, no outline says how small a defect is"


@pytest.mark.parametrize(
    ("size", "defect_px", "expected"),
    [
        ((480, 640), 40, (192, 256)),  # large defects: the usual input
        ((480, 640), 8, (256, 320)),  # 8 pixels become 4; sides in steps of 32
        ((480, 640), 3, (480, 640)),  # never more than the picture has
        ((96, 128), 3, (96, 128)),
    ],
)
def test_the_input_fits_the_smallest_defect(
    tmp_path: Path, size: tuple[int, int], defect_px: int, expected: tuple[int, int]
) -> None:
    assert input_of(choose_recipe([write_parts(tmp_path / "parts", size, 8, defect_px)])) == expected


def test_a_small_defect_beside_a_large_one_of_another_class_counts(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "parts", (480, 640), defective=8, defect_px=40)
    (folder / "masks" / "pit").mkdir()
    for mask in (folder / "masks" / "dent").iterdir():
        pit = np.zeros((480, 640), np.uint8)
        pit[300:308, 400:408] = 255
        cv2.imwrite(str(folder / "masks" / "pit" / mask.name), pit)
    choice = choose_recipe([folder])
    assert input_of(choice) == (256, 320)
    assert choice.reasons[1].endswith("the smallest defect is 8 pixels")


def test_small_defects_in_large_pictures_are_judged_in_tiles(tmp_path: Path) -> None:
    choice = choose_recipe([write_parts(tmp_path / "parts", (1210, 1600), defective=8, defect_px=4, good=0)])
    recipe = choice.recipe([])
    assert recipe.input.tiles is not None
    assert (recipe.input.height, recipe.input.width) == (1200, 1600)
    assert recipe.input.crop is not None
    assert recipe.input.crop.height == 1200
    assert choice.reasons[1].startswith("tiles of 512x512: pictures of 1600x1210, the smallest defect is 4 pixels")


def test_overrides_of_the_user_stand_above_the_choice(tmp_path: Path) -> None:
    choice = choose_recipe([write_parts(tmp_path / "parts", (192, 256), defective=8, defect_px=20)])
    assert input_of(choice, "input.height=64", "input.width=96") == (64, 96)


def test_pictures_of_several_sizes_are_not_judged_in_tiles(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "parts", (1210, 1600), defective=8, defect_px=4, good=0)
    cv2.imwrite(str(folder / "images" / "other.png"), np.full((1200, 1500), 90, np.uint8))
    choice = choose_recipe([folder])
    assert choice.recipe([]).input.tiles is None
    assert "crop the pictures to the part" in choice.reasons[1]
