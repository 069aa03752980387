import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import torch

from tests.train.augment.test_guided_crops import marked_set
from train.augment.guided_crops import Crops, class_probabilities, index_defects
from train.data.device_set import DeviceSet
from train.data.prefetch import DEPTH, ahead
from train.device import choose_compute
from train.loop.trainer import Trainer
from train.loop.training_data import WithCrops
from train.models.build import make_network


class Counted:
    """Numbers from 0 to 9, with how many were made and in which threads."""

    def __init__(self) -> None:
        self.made = 0
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[int]:
        for number in range(10):
            self.made += 1
            self.threads.add(threading.get_ident())
            yield number


def test_items_come_in_their_order() -> None:
    assert list(ahead(iter(range(10)))) == list(range(10))


def test_items_are_made_in_one_other_thread() -> None:
    items = Counted()
    list(ahead(iter(items)))
    assert len(items.threads) == 1
    assert threading.get_ident() not in items.threads


def test_no_more_than_the_depth_is_made_ahead() -> None:
    items = Counted()
    with closing(ahead(iter(items))) as coming:
        assert next(coming) == 0
    assert items.made <= 1 + DEPTH  # the thread has ended: this is all that was asked of it


def test_an_error_comes_where_its_item_would_have_come() -> None:
    def failing() -> Iterator[int]:
        yield 0
        raise ValueError("damaged")

    coming = ahead(failing())
    assert next(coming) == 0
    with pytest.raises(ValueError, match="damaged"):
        next(coming)


class InTurn(WithCrops):
    """Batches are made where they are used."""

    busy = False


def test_weights_are_those_of_batches_made_in_turn(quick_recipe) -> None:
    training = marked_set()
    recipe = quick_recipe(
        input={"height": 40, "width": 30, "channels": 1},
        network={"width": 4, "pooling": 2},
        augment={"flip_horizontal": True, "rotate_degrees": 5, "brightness": 0.1},
        crops={"images": 40},
        run={"epochs": 2, "batch": 8, "precision": "float32"},
    )
    weights = []
    for kind in (WithCrops, InTurn):
        torch.manual_seed(0)
        trainer = Trainer(make_network(recipe.network, 1, 3), recipe, 3, choose_compute("cpu", "float32"))
        stock = index_defects(training)
        crops = Crops(stock, recipe.crops, class_probabilities([1, 1, 1], stock), seed=(0,))
        data = kind(DeviceSet(training, torch.device("cpu")), crops)
        for epoch in range(2):
            trainer.train_epoch(data, epoch, lambda images, loss: None)
        weights.append(trainer.network.state_dict())
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
