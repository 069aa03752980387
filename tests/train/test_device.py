import pytest
import torch

from train.device import choose_compute, compute_of
from train.errors import TrainError
from train.models.can import ContextAggregation
from train.recipe import Recipe


@pytest.mark.parametrize("width", [16, 20, 24, 32, 40, 48])
def test_gradients_are_numbers_at_every_width(width: int) -> None:
    """Float32 is chosen where bfloat16 convolutions give NaN."""
    compute = choose_compute("cpu", "auto", width)
    network = ContextAggregation(1, 2, width, pooling=1).to(memory_format=torch.channels_last)
    with compute.autocast():
        logits = network(torch.rand(8, 1, 50, 38).to(memory_format=torch.channels_last))
    logits.float().square().mean().backward()
    wrong = [name for name, values in network.named_parameters() if not torch.isfinite(values.grad).all()]
    assert not wrong, compute.reason


def test_a_width_is_remarked_only_where_bfloat16_is_possible() -> None:
    wide, odd = choose_compute("cpu", "auto", 32), choose_compute("cpu", "auto", 24)
    assert odd.dtype == torch.float32
    assert ("multiple of 16" in odd.reason) == (wide.dtype == torch.bfloat16)
    assert "no bfloat16" in odd.reason or wide.dtype == torch.bfloat16


def test_a_precision_that_is_asked_for_is_kept() -> None:
    assert choose_compute("cpu", "bfloat16", 24).dtype == torch.bfloat16


def test_depthwise_networks_train_in_float32_on_a_processor() -> None:
    compute = choose_compute("cpu", "auto", 32, depthwise=True)
    assert compute.dtype == torch.float32
    assert "depthwise" in compute.reason


def test_separable_layers_train_in_float32_on_a_processor() -> None:
    """With AVX512-BF16, torch 2.13 computes NaN gradients of them in bfloat16."""
    content = {"name": "one", "input": {"height": 48, "width": 32, "channels": 1}}
    recipe = Recipe.model_validate({**content, "network": {"width": 32, "separable": True}})
    compute = compute_of("cpu", recipe)
    network = ContextAggregation(1, 2, 32, pooling=1, separable=True).to(memory_format=torch.channels_last)
    with compute.autocast():
        logits = network(torch.rand(8, 1, 50, 38).to(memory_format=torch.channels_last))
    logits.float().square().mean().backward()
    assert all(torch.isfinite(values.grad).all() for values in network.parameters()), compute.reason
    assert compute.dtype == torch.float32


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "meta", "cpu:4", ""])
def test_an_unknown_device_is_named(device: str) -> None:
    with pytest.raises(
        TrainError, match=f"--device {device}: found no such device, expected auto, cpu, cuda or cuda:N"
    ):
        choose_compute(device, "float32")
