import numpy as np
import pytest
import torch

from train.data.device_set import Batch, DeviceSet
from train.data.image_set import ImageSet, outlined, pack, unpack
from train.losses import targets


def image_set(count: int = 10) -> ImageSet:
    """Make images whose defect is exactly where they are bright."""
    generator = np.random.default_rng(0)
    masks = np.zeros((count, 2, 8, 6), bool)
    masks[:, 0] = generator.random((count, 8, 6)) < 0.4
    images = np.where(masks[:, :1], 200, 50).astype(np.uint8)
    bits = np.stack([pack(one) for one in masks])
    labels = masks.any(axis=(2, 3))
    return ImageSet(images, bits, labels, outlined(bits, labels))


def whole_batch() -> Batch:
    return DeviceSet(image_set(), torch.device("cpu")).batch(torch.arange(10))


def test_packed_masks_come_back() -> None:
    masks = np.random.default_rng(1).random((11, 5, 7)) < 0.5
    np.testing.assert_array_equal(unpack(pack(masks), 11), masks)


@pytest.mark.parametrize("size", [(8, 6), (4, 2), (1, 1)])
def test_targets_are_the_share_of_defect_in_each_cell(size: tuple[int, int]) -> None:
    masks = np.random.default_rng(0).random((3, 9, 8, 6)) < 0.3  # nine classes fill a byte and begin another
    bits, labels = np.stack([pack(one) for one in masks]), masks.any(axis=(2, 3))
    images = ImageSet(np.zeros((3, 1, 8, 6), np.uint8), bits, labels, outlined(bits, labels))
    found = targets(DeviceSet(images, torch.device("cpu")).batch(torch.arange(3)), size)
    rows, columns = 8 // size[0], 6 // size[1]
    whole = np.concatenate((masks, masks.any(axis=1, keepdims=True)), axis=1)
    expected = whole.reshape(3, 10, size[0], rows, size[1], columns).mean(axis=(3, 5))
    np.testing.assert_allclose(found.fractions, expected[:, :9], rtol=1e-6)
    np.testing.assert_allclose(found.any_fraction, expected[:, 9], rtol=1e-6)


def test_shuffled_batches_are_full_and_hold_an_image_once() -> None:
    data = DeviceSet(image_set(), torch.device("cpu"))
    batches = data.shuffled(4, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [4, 4]
    assert len(torch.cat(batches).unique()) == 8


def test_balanced_batches_hold_rare_kinds_more_often() -> None:
    images = image_set(1000)
    images.labels[:] = False
    images.labels[:40, 0] = True  # 960 good images and 40 of a class: shares of 31.0 and 6.3 roots
    order = torch.cat(DeviceSet(images, torch.device("cpu")).shuffled(4, torch.Generator().manual_seed(0), "balanced"))
    assert len(order) == 1000
    assert (order < 40).float().mean() == pytest.approx(6.32 / (6.32 + 30.98), abs=0.03)  # 2.5 standard deviations


def test_set_below_the_batch_size_is_one_batch() -> None:
    data = DeviceSet(image_set(3), torch.device("cpu"))
    assert [len(batch) for batch in data.shuffled(4, torch.Generator())] == [3]


@pytest.mark.parametrize("balanced", [False, True])
def test_a_short_epoch_draws_other_images_each_time(balanced: bool) -> None:
    data = DeviceSet(image_set(), torch.device("cpu"))
    epochs = [data.shuffled(2, torch.Generator().manual_seed(seed), balanced, most=5) for seed in range(20)]
    assert {len(torch.cat(epoch)) for epoch in epochs} == {4}
    assert len(torch.cat([torch.cat(epoch) for epoch in epochs]).unique()) == 10


def test_a_draw_by_halves_has_half_good_images_and_each_class_alike() -> None:
    labels = np.zeros((100, 2), dtype=bool)
    labels[:3, 0], labels[3:23, 1] = True, True  # 3 of one class, 20 of the other, 77 good ones
    shape = (100, 1, 2, 2)
    images = ImageSet(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), labels, labels)
    data = DeviceSet(images, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([torch.cat(data.shuffled(10, generator, "halves")) for _ in range(40)])  # 4,000 draws
    first, second = (drawn < 3).float().mean().item(), ((drawn >= 3) & (drawn < 23)).float().mean().item()
    assert (first, second) == (pytest.approx(0.25, abs=0.03), pytest.approx(0.25, abs=0.03))  # four deviations


def test_a_draw_by_halves_of_good_images_alone_takes_them() -> None:
    shape, labels = (4, 1, 2, 2), np.zeros((4, 2), dtype=bool)
    data = DeviceSet(
        ImageSet(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), labels, labels), torch.device("cpu")
    )
    assert len(torch.cat(data.shuffled(2, torch.Generator().manual_seed(0), "halves"))) == 4
