"""The comparison of methods that learn good parts alone, on tiny drawn parts and an encoder with random weights."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.torchvision_operators import declare_torchvision_operators
from tools.good_only.compare import MEMORY, NOISE, STUDENT, Measured, compare, table
from tools.good_only.methods import noise_regions
from train.data.image_set import ImageSet
from train.errors import RecipeError

torch.set_num_threads(1)
SMALL = ["input.height=48", "input.width=32", "network.pretrained=false", "network.patches=50"]


@pytest.fixture(scope="module", autouse=True)
def encoder() -> None:
    declare_torchvision_operators()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty parts, half of them with a dark block."""
    folder, generator = tmp_path_factory.mktemp("parts"), np.random.default_rng(1)
    for place in ("images", "masks/Block"):
        (folder / place).mkdir(parents=True)
    for number in range(40):
        image, mask = generator.normal(120, 4, (48, 32)), np.zeros((48, 32), np.uint8)
        if number % 2:
            mask[20:30, 10:20] = 255
            image[mask > 0] -= 80
            cv2.imwrite(str(folder / "masks" / "Block" / f"{number}.png"), mask)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image.clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def found(parts: Path) -> dict[str, Measured]:
    return {one.name: one for one in compare(parts, SMALL, "by-part", seed=0, steps=30, noise=1.0)}


@pytest.mark.parametrize("method", [MEMORY, STUDENT, NOISE])
def test_blocks_are_told_from_good_parts(found: dict[str, Measured], method: str) -> None:
    area, precision = found[method].ranking(by_part=False)
    assert area is not None
    assert area > 0.9
    assert precision > 0.8


def test_a_part_is_as_bad_as_its_worst_view() -> None:
    labels = np.array([[False], [False], [True], [True]])
    images = ImageSet(np.zeros((4, 1, 1, 1), np.uint8), np.zeros((4, 1, 1, 1), np.uint8), labels, labels, tuple("aabb"))
    one = Measured("method", np.array([0.9, 0.1, 0.1, 1.0], np.float32), images, 0.0, 0.0)
    assert one.ranking(by_part=False)[0] == 2.5 / 4  # pairs of a defective and a good picture in order, a tie half
    assert one.ranking(by_part=True) == (1.0, 1.0)


def test_the_table_has_a_row_per_method(found: dict[str, Measured]) -> None:
    rows = table(list(found.values())).rows
    assert [row[0] for row in rows] == [MEMORY, STUDENT, NOISE]
    assert len({len(row) for row in rows}) == 1


def test_a_fifth_of_the_patches_is_in_regions_of_noise() -> None:
    regions = noise_regions(4, 40, 30, torch.Generator().manual_seed(0))
    assert regions.mean(dim=(1, 2, 3)).tolist() == pytest.approx([0.2] * 4, abs=0.01)
    edges = (regions[..., 1:] != regions[..., :-1]).float().mean()
    assert edges < 0.1  # of independent patches 0.32


def test_an_unknown_key_of_the_recipe_is_refused(parts: Path) -> None:
    with pytest.raises(RecipeError, match=r"network\.patch"):
        list(compare(parts, ["network.patch=3"], "by-part", seed=0, steps=10, noise=1.0))
