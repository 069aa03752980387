import numpy as np
import pytest
import torch

from tests.train.data.test_device_set import image_set, whole_batch
from train.augment.batch import augment, draw
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet, outlined, pack
from train.recipe import AugmentRecipe


def test_masks_follow_the_flips() -> None:
    recipe = AugmentRecipe(flip_horizontal=True, flip_vertical=True)
    batch = augment(whole_batch(), recipe, draw(10, recipe, torch.Generator().manual_seed(0)))
    assert torch.equal(batch.frames > 100, batch.bits > 0)
    assert not torch.equal(batch.frames, whole_batch().frames.float())


@pytest.mark.parametrize("change", [{"rotate_degrees": 30}, {"scale": 0.3}, {"shift": 0.3}, {"elastic": 0.1}])
def test_masks_follow_when_the_image_is_moved(change: dict[str, float]) -> None:
    masks = np.zeros((10, 1, 40, 30), bool)
    masks[:, 0, 8:24, 10:22] = True
    bits = np.stack([pack(one) for one in masks])
    labels = masks.any(axis=(2, 3))
    images = ImageSet(np.where(masks, 200, 50).astype(np.uint8), bits, labels, outlined(bits, labels))
    whole = DeviceSet(images, torch.device("cpu")).batch(torch.arange(10))
    recipe = AugmentRecipe(**change)
    moved = augment(whole, recipe, draw(10, recipe, torch.Generator().manual_seed(0)))
    agree = ((moved.frames > 125) == (moved.bits > 0)).float().mean()
    assert agree > 0.98  # pixels on the block's edge may round to the other side
    assert not torch.equal(moved.bits, whole.bits)


def test_quarter_turn_keeps_the_proportions() -> None:
    masks = np.zeros((1, 1, 40, 40), bool)
    masks[0, 0, 18:22, 14:26] = True  # a bar, 12 wide and 4 high, in the middle
    bits = np.stack([pack(one) for one in masks])
    labels = masks.any(axis=(2, 3))
    images = ImageSet(np.where(masks, 200, 50).astype(np.uint8), bits, labels, outlined(bits, labels))
    whole = DeviceSet(images, torch.device("cpu")).batch(torch.arange(1))
    drawn = torch.full((1, 8), 0.5)
    drawn[0, 2] = 1.0
    turned = augment(whole, AugmentRecipe(rotate_degrees=90), drawn).bits[0, 0]
    ys, xs = torch.nonzero(turned, as_tuple=True)
    assert (ys.max() - ys.min() + 1, xs.max() - xs.min() + 1) == (12, 4)


def test_jitter_stays_within_its_limits() -> None:
    recipe = AugmentRecipe(brightness=0.1)
    before = whole_batch()
    moved = augment(before, recipe, draw(10, recipe, torch.Generator().manual_seed(0))).frames - before.frames
    assert moved.abs().max() <= 25.5
    assert len(moved.flatten(1).mean(dim=1).unique()) == 10


def test_a_share_of_the_batch_is_augmented_as_in_the_whole() -> None:
    recipe = AugmentRecipe(flip_horizontal=True, brightness=0.1, contrast=0.1)
    data, drawn = DeviceSet(image_set(), torch.device("cpu")), draw(10, recipe, torch.Generator().manual_seed(7))
    whole = augment(data.batch(torch.arange(10)), recipe, drawn).frames
    share = torch.arange(1, 10, 2)
    assert torch.equal(augment(data.batch(share), recipe, drawn[share]).frames, whole[share])


def test_bend_stays_within_its_limit_and_is_drawn_for_each_image() -> None:
    """On a ramp the grey level tells where a pixel came from."""
    recipe = AugmentRecipe(elastic=0.05)
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (3, 1, 120, 200)).copy()
    bits, labels = np.zeros((3, 1, 120, 200), np.uint8), np.zeros((3, 1), bool)
    whole = DeviceSet(ImageSet(ramp, bits, labels, labels), torch.device("cpu")).batch(torch.arange(3))
    bent = augment(whole, recipe, draw(3, recipe, torch.Generator().manual_seed(0))).frames
    away = (bent - torch.from_numpy(ramp))[:, 0].abs()
    assert 4 < away.max() < 1.3 * 0.05 * 200  # a cubic through the points overshoots them a little
    assert (bent.diff(dim=-1) > -1.5).all()  # smooth: no pixel far from its neighbour
    assert not torch.equal(bent[0], bent[1])


def test_what_a_shift_brings_in_repeats_the_edge() -> None:
    """A defect that touches an edge still does, and no second edge appears inside the image."""
    recipe = AugmentRecipe(shift=0.5)
    drawn = torch.full((10, 8), 0.5)
    drawn[:, 4:6] = 0.0  # half the side towards the lower right
    before = whole_batch()
    moved = augment(before, recipe, drawn)
    assert torch.equal(moved.frames[..., :4, :3], before.frames[..., :1, :1].float().expand(-1, -1, 4, 3))
    assert torch.equal(moved.bits[..., :4, 3:], before.bits[..., :1, :3].expand(-1, -1, 4, 3))
