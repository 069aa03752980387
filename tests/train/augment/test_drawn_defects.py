import cv2
import numpy as np
import pytest
import torch

from bundle import InputSpec
from synthetic.artists import ARTISTS, Artist
from synthetic.tiles import draw_tile
from tests.train.augment.test_guided_crops import marked_set
from train.augment.drawn_defects import check_drawable, draw_defect
from train.augment.guided_crops import Crops, index_defects
from train.data.image_set import ImageSet, outlined, pack
from train.errors import RecipeError
from train.loop.training_data import TrainingData
from train.recipe import CropsRecipe, Recipe

CLASSES = tuple(ARTISTS)


def good_tile(index: int = 0, channels: int = 1) -> np.ndarray:
    image = draw_tile(5, index, None).image
    return np.repeat(image[np.newaxis], channels, axis=0)


EVERYONE = sorted({artist for artists in ARTISTS.values() for artist in artists}, key=lambda artist: artist.__name__)


@pytest.mark.parametrize("artist", EVERYONE, ids=lambda artist: artist.__name__)
def test_image_changes_where_the_mask_says_and_hardly_elsewhere(artist: Artist) -> None:
    for seed in range(5):
        image = good_tile(seed)
        before = image.astype(np.int16)
        where = draw_defect(image, [artist], np.random.default_rng(seed))
        change = np.abs(image - before)[0]
        assert where.any()
        assert change[where].mean() > 5
        assert change[~where].mean() < 0.02 * change[where].mean() * where.sum() ** 0.5


def test_colours_keep_their_proportions() -> None:
    image = good_tile(channels=3)
    image[2] = image[2] // 2
    where = draw_defect(image, ARTISTS["Blowhole"], np.random.default_rng(0))
    np.testing.assert_allclose(image[0][where], 2.0 * image[2][where], atol=3)


def test_sizes_follow_the_images() -> None:
    large = good_tile()
    small = cv2.resize(large[0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)[np.newaxis]
    areas = [
        sum(
            int(draw_defect(image.copy(), ARTISTS["Blowhole"], np.random.default_rng(seed)).sum()) for seed in range(20)
        )
        for image in (large, small)
    ]
    assert areas[0] == pytest.approx(4 * areas[1], rel=0.1)


def test_nothing_is_drawn_beside_the_part() -> None:
    image = good_tile()
    image[:, :, :60] = 2
    for seed in range(10):
        where = draw_defect(image.copy(), ARTISTS["Uneven"], np.random.default_rng(seed))
        assert not where[:, :50].any()


def tiles_of(count: int = 4) -> ImageSet:
    """Good drawn tiles, and for each class one with a defect of a level that no drawing gives."""
    size = 200, 150
    images = np.stack([good_tile(index)[:, : size[0], : size[1]] for index in range(count + len(CLASSES))])
    masks = np.zeros((len(images), len(CLASSES), *size), bool)
    for kind in range(len(CLASSES)):
        masks[count + kind, kind, 50:60, 40:60] = True
        images[count + kind, 0, 50:60, 40:60] = 255
    bits = np.stack([pack(one) for one in masks])
    labels = masks.any(axis=(2, 3))
    return ImageSet(images, bits, labels, outlined(bits, labels))


def bright_share(image: np.ndarray, mask: np.ndarray) -> float:
    return float((image[mask] == 255).mean())


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 1.0, 1.0), (0.5, 0.3, 0.7), (1.0, 0.0, 0.0)])
def test_the_share_is_drawn_and_the_rest_cut_out(share: float, least: float, most: float) -> None:
    recipe = CropsRecipe(images=60, drawn=share, blob_brightness=0, blob_contrast=0, brightness=0, contrast=0)
    stock = index_defects(tiles_of(), CLASSES)
    made = Crops(stock, recipe, np.full(len(CLASSES), 1 / len(CLASSES)), seed=(0,)).make(range(60))
    cut_out = [bright_share(image[0], made.masks(number).any(axis=0)) > 0.5 for number, image in enumerate(made.images)]
    assert least <= np.mean(cut_out) <= most


def test_a_class_without_an_artist_is_cut_out() -> None:
    stock = index_defects(marked_set(), ("Blowhole", "Dent", "Scratch"))
    recipe = CropsRecipe(images=10, drawn=1.0)
    made = Crops(stock, recipe, np.array([0.0, 0.5, 0.5]), seed=(0,)).make(range(10))
    assert not made.labels[:, 0].any()
    assert made.labels[:, 1:].any(axis=1).all()


def test_the_runs_classes_reach_the_artist() -> None:
    recipe = Recipe(
        name="r",
        input=InputSpec(height=200, width=150, channels=1),
        crops=CropsRecipe(images=8, every=1, at_once=True, drawn=1.0),
    )
    data = TrainingData(tiles_of(), recipe, torch.device("cpu"), CLASSES).of(0, [])
    crops = data.batch(torch.arange(9, 17))
    assert crops.labels.any(dim=1).all()
    for frame, bits in zip(crops.frames.numpy(), crops.bits.numpy(), strict=True):
        assert bright_share(frame[0], bits[0] > 0) < 0.5


def test_classes_that_cannot_be_drawn_are_refused() -> None:
    recipe = Recipe(name="r", input=InputSpec(height=8, width=8, channels=1), crops=CropsRecipe(images=8, drawn=0.5))
    check_drawable(recipe, ("Dent", "Crack"))
    with pytest.raises(RecipeError, match=r"crops\.drawn: found the classes Dent, Pit, expected one of .* Blowhole"):
        check_drawable(recipe, ("Dent", "Pit"))
