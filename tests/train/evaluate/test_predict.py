import numpy as np
import pytest
import torch

from bundle import TileGrid, Tiling
from tests.train.data.test_device_set import image_set
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet, unpack
from train.device import choose_compute
from train.errors import DataError
from train.evaluate.predict import predict
from train.models.network import NormalisedNetwork

CPU = choose_compute("cpu", "float32")


def network(classes: int) -> NormalisedNetwork:
    """One mask channel per class, each another multiple of the grey level; dropout shows the training mode."""
    convolution = torch.nn.Conv2d(1, classes, kernel_size=1)
    return CPU.place(NormalisedNetwork(torch.nn.Sequential(convolution, torch.nn.Dropout(0.5)), [0.5], [0.25]))


def large_set() -> ImageSet:
    """The images, four times as large."""
    small = image_set()
    images, bits = (np.kron(values, np.ones((4, 4), np.uint8)) for values in (small.images, small.bits))
    return ImageSet(images, bits, small.labels, small.outlined)


def grid_of(overlap: int) -> TileGrid:
    return TileGrid.of(Tiling(height=8, width=10, overlap=overlap), (32, 24), (32, 24))


def test_outputs_are_in_the_order_of_the_images_whatever_the_batch() -> None:
    images, net = image_set(), network(3)
    whole, by_three = predict(net, images, CPU), predict(net, images, CPU, batch=3)
    assert whole.scores.shape == (len(images), 3)
    np.testing.assert_array_equal(whole.scores, by_three.scores)
    np.testing.assert_array_equal(whole.masks, by_three.masks)


def test_masks_are_probabilities_rounded_to_255_levels() -> None:
    images, net = image_set(), network(2)
    found = predict(net, images, CPU)
    with torch.inference_mode():
        probabilities = torch.sigmoid(net(torch.from_numpy(images.images))).numpy()
    np.testing.assert_array_equal(found.masks, np.floor(probabilities * 255 + 0.5).astype(np.uint8))
    np.testing.assert_allclose(found.scores, probabilities.max(axis=(2, 3)), rtol=1e-6)


def test_each_batch_is_shown_with_its_logits() -> None:
    images, sizes = image_set(), []
    predict(network(2), DeviceSet(images, CPU.device), CPU, 4, lambda batch, logits: sizes.append(len(logits)))
    assert sum(sizes) == len(images)
    assert max(sizes) == 4


def test_pictures_in_tiles_give_what_they_give_as_a_whole() -> None:
    images, net = large_set(), network(3)
    grid = grid_of(overlap=3)
    whole, tiled = predict(net, images, CPU), predict(net, images, CPU, batch=5, grid=grid)
    np.testing.assert_array_equal(whole.masks, tiled.masks)
    np.testing.assert_allclose(whole.scores, tiled.scores, atol=1 / 510)  # half a level of 255


def test_the_truth_of_each_tile_is_shown_with_its_logits() -> None:
    images, net, shown = large_set(), network(2), []
    grid = grid_of(overlap=2)
    predict(net, images, CPU, 4, lambda batch, logits: shown.append((batch, logits)), grid)
    bits = np.concatenate([batch.bits.numpy() for batch, _ in shown])
    places = [(number, *place) for number in range(len(images)) for place in grid.places]
    assert len(bits) == len(places)
    for one, (number, row, column) in zip(bits, places, strict=True):
        np.testing.assert_array_equal(one, grid.tile(images.bits[number], row, column))
    for batch, logits in shown:
        labels = [unpack(one, 2).any(axis=(1, 2)) for one in batch.bits.numpy()]
        np.testing.assert_array_equal(batch.labels.numpy(), np.stack(labels))
        assert logits.shape[2:] == batch.bits.shape[2:]


def test_no_image_is_refused() -> None:
    images = image_set()
    none = type(images)(images.images[:0], images.bits[:0], images.labels[:0], images.outlined[:0])
    with pytest.raises(DataError, match="found no image, expected at least one"):
        predict(network(3), none, CPU)
