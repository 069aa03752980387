"""Training tiles: defects at random places of them, the rest anywhere, the same for the same seed."""

import numpy as np
import torch

from bundle import Tiling
from train.augment.tile_draws import TileDrawer
from train.data.image_set import ImageSet, outlined, pack
from train.loop.training_data import TrainingData
from train.recipe import Recipe, TileDrawsRecipe

TILES = Tiling(height=16, width=24, overlap=4)


def pictures() -> ImageSet:
    """A good picture, one with a scratch of class 0 and one with a large and a tiny blob of class 1; 60 x 80."""
    masks = np.zeros((3, 2, 60, 80), np.bool_)
    masks[1, 0, 58:60, 10:70] = True
    masks[2, 1, 5:45, 5:35] = True
    masks[2, 1, 50, 79] = True
    images = np.arange(3 * 60 * 80, dtype=np.uint32).reshape(3, 1, 60, 80).astype(np.uint8)
    bits, labels = np.stack([pack(one) for one in masks]), masks.any(axis=(2, 3))
    return ImageSet(images, bits, labels, outlined(bits, labels), ("a", "b", "c"))


def drawn(per_picture: int = 20, defect_share: float = 0.5, seed: int = 1) -> ImageSet:
    recipe = TileDrawsRecipe(per_picture=per_picture, defect_share=defect_share)
    return TileDrawer(pictures(), TILES, recipe).draw((seed,))


def test_tiles_are_cut_with_their_truth() -> None:
    tiles, whole = drawn(), pictures()

    assert tiles.images.shape == (60, 1, 16, 24)
    assert tiles.parts == ("a",) * 20 + ("b",) * 20 + ("c",) * 20
    for index, tile in enumerate(tiles.images):
        picture, truth = whole.images[index // 20, 0], whole.bits[index // 20, 0]
        windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 24))
        found = np.argwhere((windows == tile[0]).all(axis=(2, 3)))
        assert any(np.array_equal(truth[y : y + 16, x : x + 24], tiles.bits[index, 0]) for y, x in found)


def test_the_share_of_a_defective_picture_shows_a_defect_and_a_good_one_has_none() -> None:
    labels = drawn(defect_share=0.5).labels

    assert not labels[:20].any()
    assert labels[20:30, 0].all()
    assert labels[40:50, 1].all()
    assert not drawn(defect_share=0).labels[20:40, 0].all()


def test_labels_are_of_the_tile_and_every_one_is_outlined() -> None:
    tiles = drawn()

    assert np.array_equal(tiles.labels, np.stack([tiles.masks(index).any(axis=(1, 2)) for index in range(len(tiles))]))
    assert tiles.outlined.all()


def test_a_tiny_blob_is_drawn_as_often_as_a_large_one() -> None:
    tiles = drawn(per_picture=200, defect_share=1)
    tiny = (tiles.bits[400:].sum(axis=(1, 2, 3)) == 2).sum()  # a single pixel with bit 1

    assert 70 < tiny < 130


def test_a_defect_lies_at_all_places_of_its_tiles() -> None:
    tiles = drawn(per_picture=200, defect_share=1)
    columns = {int(np.argwhere(tiles.bits[index, 0])[:, 1].min()) for index in range(200, 400)}

    assert columns > {0, 10}  # the scratch begins in column 10: its left end at the tile's border, and as far in
    assert len(columns) > 5


def test_the_seed_decides_the_tiles() -> None:
    assert np.array_equal(drawn(seed=4).images, drawn(seed=4).images)
    assert not np.array_equal(drawn(seed=4).images, drawn(seed=5).images)


def test_tiles_are_renewed_with_the_crops_and_the_same_after_resuming() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "tiled",
            "input": {"height": 60, "width": 80, "channels": 1, "tiles": TILES.model_dump()},
            "network": {"pooling": 2},
            "crops": {"images": 6, "every": 2},
            "tile_draws": {"per_picture": 5},
        }
    )
    history = [{"val_losses": [1.0, 1.0]}] * 6
    data, resumed = (TrainingData(pictures(), recipe, torch.device("cpu")) for _ in range(2))
    epochs = [data.of(epoch, history).images[:15].clone() for epoch in range(4)]

    assert len(data.of(0, history)) == 15
    assert len(data.of(3, history)) == 15 + 6
    assert torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[2], epochs[3])
    assert not torch.equal(epochs[1], epochs[2])
    assert torch.equal(resumed.of(3, history).images[:15], epochs[3])
