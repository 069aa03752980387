"""A data set of drawn parts in the Magnetic Tile layout, and a recipe that trains in a second."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from train.recipe import Recipe

torch.set_num_threads(1)
cv2.setNumThreads(1)

CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
HEIGHT, WIDTH = 48, 32


def tile(generator: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw a noisy grey tile; a defect is a block whose level and place tell its class."""
    image = generator.normal(120, 4, (HEIGHT, WIDTH))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    if kind != "Free":
        number = CLASSES.index(kind)
        top, left = 4 + 8 * number, int(generator.integers(4, 16))
        mask[top : top + 6, left : left + 10] = 255
        image[mask > 0] += 40 * (number + 1) - 120
    return image.clip(0, 255).astype(np.uint8), mask


def write_tile(folder: Path, kind: str, name: str, image: np.ndarray, mask: np.ndarray) -> Path:
    """Write one image with its mask in the Magnetic Tile layout."""
    place = folder / f"MT_{kind}" / "Imgs"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.jpg"
    cv2.imwrite(str(path), image)
    cv2.imwrite(str(path.with_suffix(".png")), mask)
    return path


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 80 images of 40 parts, two exposures each: half of them good, four parts of each class."""
    folder = tmp_path_factory.mktemp("tiles")
    generator = np.random.default_rng(1)
    kinds = [kind for kind in CLASSES for _ in range(4)] + ["Free"] * 20
    for part, kind in enumerate(kinds):
        for exposure in range(2):
            name = f"exp{exposure + 1}_num_{1000 * part + 100 * exposure}"
            write_tile(folder, kind, name, *tile(generator, kind))
    return folder


@pytest.fixture
def quick_recipe() -> Callable[..., Recipe]:
    """Make a recipe that trains in a second; keywords replace its tables."""

    def make(**tables: object) -> Recipe:
        content = {
            "name": "quick",
            "input": {"height": HEIGHT, "width": WIDTH, "channels": 1},
            "network": {"width": 4, "pooling": 4},
            "optimiser": {"learning_rate": 3e-3, "beta1": 0.9},
            "augment": {"flip_horizontal": True, "contrast": 0.1},
            "run": {"epochs": 3, "batch": 8, "precision": "float32"},
        }
        return Recipe.model_validate({**content, **tables})

    return make


@pytest.fixture(scope="session")
def magnetic_tile() -> Path:
    """Find the real Magnetic Tile images."""
    folder = os.environ.get("MAGNETIC_TILE_DIR")
    if not folder:
        pytest.skip("MAGNETIC_TILE_DIR is not set: the real Magnetic Tile images are not here")
    return Path(folder)
