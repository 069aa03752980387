import numpy as np
import pytest
import torch
from torch import nn

from tests.train.models.test_can_lite import small_encoder
from train.data.device_set import DeviceSet
from train.data.image_set import ImageSet, pack
from train.device import choose_compute
from train.loop.lr_schedule import learning_rate
from train.loop.trainer import Trainer, average_decay
from train.models.can_lite import SIXTEENTH, LiteContext, LiteEncoder
from train.models.network import NormalisedNetwork
from train.recipe import Recipe

SIZE = (32, 32)


def lite_trainer(**optimiser: float) -> Trainer:
    """A trainer of a small network of this shape, with batch normalisation in each stage of the encoder."""
    torch.manual_seed(0)
    plain = small_encoder(SIXTEENTH + 1)
    stages = [nn.Sequential(stage, nn.BatchNorm2d(stage.out_channels)) for stage in plain.stages]
    stem = nn.Sequential(plain.stem, nn.BatchNorm2d(32))
    body = LiteContext(LiteEncoder(stem, stages, plain.channels), classes=2, width=4)
    recipe = Recipe.model_validate(
        {
            "name": "quick",
            "input": {"height": SIZE[0], "width": SIZE[1], "channels": 1},
            "network": {"model": "can-lite", "width": 4},
            "optimiser": {"learning_rate": 1e-2, "beta1": 0.9, **optimiser},
            "run": {"epochs": 2, "batch": 4, "average": 0.9},
        }
    )
    return Trainer(NormalisedNetwork(body, [0.5], [0.25]), recipe, 2, choose_compute("cpu", "float32"))


def images() -> DeviceSet:
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 255, (8, 1, *SIZE), dtype=np.uint8)
    masks = [generator.random((2, *SIZE)) < 0.1 for _ in range(8)]
    has = np.ones((8, 2), bool)
    return DeviceSet(ImageSet(frames, np.stack([pack(mask) for mask in masks]), has, has), torch.device("cpu"))


def changed(trainer: Trainer) -> set[str]:
    """Names of the encoder's tensors, running statistics included, that an epoch changes."""
    before = {key: value.clone() for key, value in trainer.network.body.encoder.state_dict().items()}
    trainer.train_epoch(images(), 0, lambda images, loss: None)
    after = trainer.network.body.encoder.state_dict()
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_frozen_stages_keep_weights_and_statistics() -> None:
    names = changed(lite_trainer(frozen_stages=2))
    assert not [name for name in names if name.startswith(("stem.", "stages.0.", "stages.1."))]
    assert {"stages.2.0.weight", "stages.2.1.running_mean", "stages.4.0.weight"} <= names


def test_without_freezing_all_stages_learn() -> None:
    assert {"stem.0.weight", "stages.0.0.weight", "stages.1.1.running_mean"} <= changed(lite_trainer())


def test_the_encoder_learns_at_its_share_of_the_rate() -> None:
    trainer = lite_trainer(encoder_rate=0.2)
    trainer.train_epoch(images(), 0, lambda images, loss: None)
    rates = {group["share"]: group["lr"] for group in trainer.optimiser.param_groups}
    last_step = learning_rate(trainer.recipe.optimiser, 0.5, 2)
    assert rates == {1.0: pytest.approx(last_step), 0.2: pytest.approx(0.2 * last_step)}
    groups = [sum(weight.numel() for weight in group["params"]) for group in trainer.optimiser.param_groups]
    assert groups[1] == sum(weight.numel() for weight in trainer.network.body.encoder.parameters())


def test_the_average_forgets_its_first_weights() -> None:
    """With 0.99 from the first step, 37 % of an untrained network would be left after 100."""
    assert [average_decay(0.99, steps) for steps in (0, 10, 80)] == [0.1, pytest.approx(0.55), pytest.approx(0.9)]
    assert average_decay(0.99, 10_000) == 0.99
