from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bundle import InputSpec
from tests.train.conftest import HEIGHT, WIDTH
from train.augment.blobs import RING_PX, Blob, find_blobs, with_margin
from train.augment.guided_crops import Crops, DefectLibrary, choose_classes, class_probabilities, index_defects
from train.augment.paste import FEATHER_PX, paste
from train.augment.photometric import jittered
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet, load_images, outlined, pack
from train.data.readers import read_dataset
from train.data.splits import make_split, sides_of
from train.errors import DataError
from train.loop.training_data import TrainingData, WithCrops
from train.recipe import CropsRecipe, Recipe

STILL = {"blob_brightness": 0, "blob_contrast": 0, "brightness": 0, "contrast": 0}
"""Options under which a pasted pixel keeps its level."""


def marked_set(classes: int = 3, size: tuple[int, int] = (40, 30)) -> ImageSet:
    """Make two good images of level 50, and per class two images of level 90 with two blobs of their class's level."""
    height, width = size
    images = np.full((2 + 2 * classes, 1, height, width), 50, np.uint8)
    masks = np.zeros((len(images), classes, height, width), bool)
    for index in range(2, len(images)):
        kind = (index - 2) // 2
        images[index] = 90
        masks[index, kind, 5:11, 4:12] = True
        masks[index, kind, 20:24, 10:13] = True
        images[index, 0][masks[index, kind]] = level(kind)
    bits = np.stack([pack(one) for one in masks])
    labels = masks.any(axis=(2, 3))
    return ImageSet(images, bits, labels, outlined(bits, labels))


def level(kind: int) -> int:
    return 150 + 30 * kind


def even(classes: int = 3) -> np.ndarray:
    return np.full(classes, 1 / classes)


def made_of(stock: DefectLibrary, recipe: CropsRecipe, probabilities: np.ndarray) -> ImageSet:
    """Make a whole set."""
    return Crops(stock, recipe, probabilities, seed=(0,)).make(range(recipe.images))


def test_mask_is_where_the_pasted_pixels_are() -> None:
    recipe = CropsRecipe(images=60, **STILL)
    made = made_of(index_defects(marked_set()), recipe, even())
    for index in range(60):
        for kind in range(3):
            np.testing.assert_array_equal(made.masks(index)[kind], made.images[index, 0] == level(kind))


def test_labels_are_the_classes_that_can_be_seen() -> None:
    made = made_of(index_defects(marked_set()), CropsRecipe(images=20), even())
    expected = [made.masks(index).any(axis=(1, 2)) for index in range(20)]
    np.testing.assert_array_equal(made.labels, expected)
    assert made.labels.any(axis=1).all()


def test_base_is_a_good_image() -> None:
    made = made_of(index_defects(marked_set()), CropsRecipe(images=40, **STILL), even())
    assert not np.any(made.images == 90)
    assert np.any(made.images == 50)


def test_no_class_is_always_in_front() -> None:
    training = marked_set(classes=2, size=(12, 12))
    training.bits[2:] = 0
    training.bits[2:4], training.bits[4:6] = 1, 2  # every image is all defect
    training.images[2:4], training.images[4:6] = level(0), level(1)
    training.labels[2:] = [[True, True]] * 4
    training.labels[2:4, 1] = training.labels[4:6, 0] = False
    stock = index_defects(training)
    stock.cooccurrence[:] = 1
    made = made_of(stock, CropsRecipe(images=80, **STILL), even(2))
    single = made.labels.sum(axis=0)
    assert made.labels.sum(axis=1).max() == 1  # the one in front hides the other
    assert single.min() > 20


def test_jitter_spreads_about_the_mean_and_moves_it() -> None:
    pixels = np.random.default_rng(0).integers(60, 190, (2, 20, 10), dtype=np.uint8)
    given = np.random.default_rng(1)
    spread, moved = 1 + 0.3 * given.uniform(-1, 1), 255 * 0.1 * given.uniform(-1, 1)
    found = jittered(pixels, brightness=0.1, contrast=0.3, generator=np.random.default_rng(1))
    expected = (pixels - pixels.mean()) * spread + pixels.mean() + moved
    np.testing.assert_array_equal(found, np.clip(np.rint(expected), 0, 255))


def test_class_probabilities_follow_the_losses() -> None:
    stock = index_defects(marked_set())
    assert class_probabilities([1.0, 3.0, 4.0], stock).tolist() == [0.125, 0.375, 0.5]


def test_drawn_classes_follow_the_probabilities() -> None:
    stock = index_defects(marked_set())
    generator = np.random.default_rng(0)
    first = [choose_classes(stock, np.array([0.7, 0.2, 0.1]), generator)[0] for _ in range(2000)]
    found = np.bincount(first) / 2000
    np.testing.assert_allclose(found, [0.7, 0.2, 0.1], atol=0.04)  # four standard deviations


def test_class_without_source_is_never_drawn() -> None:
    training = marked_set()
    training.labels[2:4, 0] = False
    training.bits[2:4] = 0
    assert class_probabilities([9.0, 1.0, 1.0], index_defects(training)).tolist() == [0, 0.5, 0.5]


def test_no_loss_at_all_draws_evenly() -> None:
    assert class_probabilities([0.0, 0.0, 0.0], index_defects(marked_set())).tolist() == [1 / 3] * 3


def test_further_classes_follow_the_cooccurrence() -> None:
    stock = index_defects(marked_set())
    generator = np.random.default_rng(0)
    drawn = [choose_classes(stock, even(), generator) for _ in range(300)]
    assert all(set(classes) == {classes[0]} for classes in drawn)  # no image here has two classes
    assert {len(classes) for classes in drawn} == {1, 2, 3}
    stock.cooccurrence[0] = [0, 1, 0]
    drawn = [choose_classes(stock, even(), generator) for _ in range(300)]
    assert {kind for classes in drawn if classes[0] == 0 for kind in classes[1:]} == {1}


def test_only_the_training_part_is_used(tiles: Path, quick_recipe) -> None:
    """Training images hold levels up to 127 and all others from 128 on; no crop of the run has one of those."""
    dataset = read_dataset(tiles)
    sides = sides_of(make_split(dataset, "by-part", 0), dataset)
    recipe = quick_recipe(crops={"images": 30, "every": 2, **STILL})
    train = load_images(sides["train"], recipe.input, 5)
    low = ImageSet(train.images // 2, train.bits, train.labels, train.outlined)
    data = TrainingData(low, recipe, torch.device("cpu"))
    history = [{"val_losses": [1.0, 2.0, 3.0, 4.0, 5.0]}] * 4
    assert len(data.of(1, history)) == len(train)
    crops = data.of(2, history).batch(torch.arange(len(train), len(train) + 30)).frames
    assert len(crops) == 30
    assert crops.max() < 128
    known = {image.tobytes() for image in low.images}
    assert not known & {crop.numpy().tobytes() for crop in crops}


def test_sets_are_renewed_every_k_epochs(tiles: Path, quick_recipe) -> None:
    recipe = quick_recipe(crops={"images": 4, "every": 2})
    data = TrainingData(marked_set(), recipe, torch.device("cpu"))
    history = [{"val_losses": [1.0, 1.0, float(epoch)]} for epoch in range(8)]
    own = len(marked_set())
    assert [len(data.of(epoch, history)) - own for epoch in range(2)] == [0, 0]
    sets = [data.of(epoch, history).batch(torch.arange(own, own + 4)).frames for epoch in range(6) if epoch > 1]
    assert torch.equal(sets[0], sets[1])
    assert torch.equal(sets[2], sets[3])
    assert not torch.equal(sets[1], sets[2])
    assert data.probabilities == [0.2, 0.2, 0.6]  # of the losses after epoch 4, which is history[3]


def test_crop_does_not_depend_on_those_made_before_it() -> None:
    crops = Crops(index_defects(marked_set()), CropsRecipe(images=12), even(), seed=(3,))
    whole, backwards = crops.make(range(12)), crops.make(range(11, -1, -1))
    np.testing.assert_array_equal(whole.images, backwards.images[::-1])
    np.testing.assert_array_equal(whole.bits, backwards.bits[::-1])


@pytest.mark.parametrize("first", [[12, 0, 9], [9, 13, 2, 8]])
def test_a_batch_holds_the_crops_of_its_indices(first: list[int]) -> None:
    training = marked_set()  # images 0 to 7
    crops = Crops(index_defects(training), CropsRecipe(images=6), even(), seed=(3,))
    data = WithCrops(DeviceSet(training, torch.device("cpu")), crops)
    data.batch(torch.tensor(first))
    batch, made = data.batch(torch.arange(14)), crops.make(range(6))
    for found, name in ((batch.frames, "images"), (batch.bits, "bits"), (batch.labels, "labels")):
        np.testing.assert_array_equal(found, np.concatenate((getattr(training, name), getattr(made, name))))
    assert batch.outlined.all()


def test_a_balanced_draw_knows_the_classes_of_the_crops() -> None:
    training = marked_set(classes=1)  # two good images and two with the defect
    crops = Crops(index_defects(training), CropsRecipe(images=60), even(1), seed=(3,))
    data = WithCrops(DeviceSet(training, torch.device("cpu")), crops)
    drawn = torch.cat(data.shuffled(8, torch.Generator().manual_seed(0), "balanced"))
    assert int((drawn < 2).sum()) >= 4  # 64 draws, of which two good images in 64 have a share of 0.15


@pytest.mark.parametrize(("border", "moves"), [(None, True), ("left", False), ("right", False)])
def test_shift_only_where_no_border_would_wrap_into_the_middle(border: str | None, moves: bool) -> None:
    training = marked_set(classes=1, size=(100, 100))
    training.images[:2, 0, :, 50] = 60  # a line to follow the shift by
    if border is not None:
        training.images[:2, 0, :, slice(0, 4) if border == "left" else slice(96, 100)] = 5
    made = made_of(index_defects(training), CropsRecipe(images=30, **STILL), even(1))
    places = {int((image[0] == 60).sum(axis=0).argmax()) for image in made.images}
    assert (len(places) > 3) == moves


def one_blob(edges: tuple[bool, bool, bool, bool] = (False,) * 4) -> Blob:
    mask = np.zeros((6, 8), bool)
    mask[1:5, 1:] = True
    pixels = np.where(mask, 200, 100).astype(np.uint8)[np.newaxis]
    return Blob(with_margin(pixels), mask, surroundings=100.0, edges=edges)


@pytest.mark.parametrize(("blend", "rim_px"), [("none", 0), ("feather", FEATHER_PX), ("poisson", RING_PX)])
def test_nothing_changes_outside_the_mask_and_its_rim(blend: str, rim_px: int) -> None:
    image = np.full((1, HEIGHT, WIDTH), 100, np.uint8)
    where = paste(image, one_blob(), CropsRecipe(blend=blend, **STILL), np.random.default_rng(0))
    near = cv2.dilate(where.astype(np.uint8), np.ones((2 * rim_px + 1,) * 2, np.uint8)) > 0
    assert np.all(image[:, ~near] == 100)
    assert image[:, where].max() > 150


def test_poisson_takes_the_light_of_the_base() -> None:
    blob = one_blob()
    image = np.full((1, HEIGHT, WIDTH), 30, np.uint8)
    where = paste(image, blob, CropsRecipe(blend="poisson", **STILL), np.random.default_rng(0))
    contrast = image[:, where].max() - 30
    assert 40 < contrast <= 100  # 200 on 100 in its own image; the rim's flank takes its part
    assert image[:, where].min() < 130  # cut and pasted it would be 200


def test_feather_softens_the_seam_outside_the_defect() -> None:
    soft = np.full((1, HEIGHT, WIDTH), 40, np.uint8)  # its own surroundings are 100
    where = paste(soft, one_blob(), CropsRecipe(blend="feather", **STILL), np.random.default_rng(0))
    far = cv2.distanceTransform((~where).astype(np.uint8), cv2.DIST_L2, 3)
    near, further = (soft[0, (far > low) & (far < low + 0.9)] for low in (0.5, 1.5))
    assert 40 < further.mean() < near.mean() < 100


@pytest.mark.parametrize("blend", ["none", "feather", "poisson"])
def test_a_crack_one_pixel_wide_can_still_be_seen(blend: str) -> None:
    pixels = np.full((1, 20, 3), 100, np.uint8)
    pixels[:, :, 1] = 40
    wide = np.pad(pixels, ((0, 0), (RING_PX, RING_PX), (RING_PX - 1, RING_PX - 1)), constant_values=100)
    crack = Blob(wide, np.ones((20, 1), bool), surroundings=100.0, edges=(False,) * 4)
    image = np.full((1, HEIGHT, WIDTH), 100, np.uint8)
    where = paste(image, crack, CropsRecipe(blend=blend, **STILL), np.random.default_rng(0))
    assert 100 - image[:, where].mean() > 0.8 * (100 - 40)


@pytest.mark.parametrize("edge", range(4))
def test_edge_defect_stays_at_its_edge(edge: int) -> None:
    blob = one_blob(tuple(number == edge for number in range(4)))
    for seed in range(5):
        image = np.full((1, HEIGHT, WIDTH), 100, np.uint8)
        paste(image, blob, CropsRecipe(keep_edges=True, **STILL), np.random.default_rng(seed))
        ys, xs = np.nonzero(image[0] > 150)
        box = (ys.min() == 1, ys.max() == HEIGHT - 2, xs.min() == 1, xs.max() == WIDTH - 1)  # its mask's own margins
        assert box[edge]


def test_match_brightness_scales_by_the_surroundings() -> None:
    image = np.full((1, HEIGHT, WIDTH), 49, np.uint8)
    where = paste(image, one_blob(), CropsRecipe(match_brightness=True, **STILL), np.random.default_rng(0))
    assert image[:, where].max() == pytest.approx(200 * 50 / 101, abs=1)


def test_match_texture_prefers_a_like_place() -> None:
    image = np.full((1, HEIGHT, WIDTH), 100, np.uint8)
    image[:, : HEIGHT // 2] = 10
    rows = []
    for seed in range(20):
        base = image.copy()
        where = paste(base, one_blob(), CropsRecipe(match_texture=True, **STILL), np.random.default_rng(seed))
        rows.append(np.nonzero(where)[0].min())
    assert np.mean(np.array(rows) >= HEIGHT // 2) > 0.9


def test_turned_blob_keeps_its_pixels_under_its_mask() -> None:
    image = np.full((1, HEIGHT, WIDTH), 100, np.uint8)
    blob = Blob(with_margin(np.full((1, 4, 12), 200, np.uint8)), np.ones((4, 12), bool), 100.0, (False,) * 4)
    where = paste(image, blob, CropsRecipe(rotate_degrees=90, **STILL), np.random.default_rng(4))
    assert np.array_equal(image[0] == 200, where)
    assert np.ptp(np.nonzero(where)[0]) > 4


def test_blobs_are_the_connected_pieces() -> None:
    training = marked_set()
    blobs = find_blobs(training.images[2], training.masks(2)[0])
    assert sorted(blob.mask.shape for blob in blobs) == [(4, 3), (6, 8)]
    assert all(blob.surroundings == 90 for blob in blobs)


def test_training_part_without_good_images_is_refused() -> None:
    training = marked_set()
    defective = ImageSet(training.images[2:], training.bits[2:], training.labels[2:], training.outlined[2:])
    with pytest.raises(DataError, match="found 0 good images and 6 with outlined defects"):
        index_defects(defective)


def test_a_set_before_the_first_epoch_has_all_classes_alike() -> None:
    recipe = Recipe(
        name="r", input=InputSpec(height=40, width=30, channels=1), crops={"images": 9, "every": 2, **STILL}
    )
    at_once = recipe.model_copy(update={"crops": recipe.crops.model_copy(update={"at_once": True})})
    later, early = (TrainingData(marked_set(), one, torch.device("cpu")) for one in (recipe, at_once))
    history = [{"val_losses": [0.0, 0.0, 1.0]}] * 2
    assert len(later.of(1, history)) == 8
    assert len(early.of(0, [])) == len(early.of(1, history)) == 17
    assert early.probabilities == [1 / 3] * 3
    assert len(early.of(2, history)) == 17
    assert early.probabilities == [0, 0, 1]
