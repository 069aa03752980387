import pytest
import torch

from train.network import DILATIONS, ContextAggregation, Inspector, class_logits, weight_count


@pytest.mark.parametrize(("width", "count"), [(64, 630_085), (32, 158_373)])
def test_weight_count_is_the_computed_one(width: int, count: int) -> None:
    assert weight_count(ContextAggregation(in_channels=1, classes=5, width=width)) == count


@pytest.mark.parametrize("skip", ["concat", "add"])
@pytest.mark.parametrize("pooling", [1, 2, 4])
def test_logits_come_at_the_pooled_size(pooling: int, skip: str) -> None:
    network = ContextAggregation(in_channels=3, classes=2, width=4, pooling=pooling, skip=skip)
    assert network(torch.zeros(1, 3, 24, 16)).shape == (1, 2, 24 // pooling, 16 // pooling)


@pytest.mark.parametrize(("layer", "earlier"), [(9, 6), (10, 5), (11, 4), (12, 3), (13, 2)])
def test_skip_joins_the_layer_of_the_same_dilation_as_the_one_before(layer: int, earlier: int) -> None:
    network = ContextAggregation(in_channels=1, classes=1, width=4)
    assert network.layers[layer - 1][0].in_channels == 8
    assert DILATIONS[earlier - 1] == DILATIONS[layer - 2]
    assert network._joined([torch.full((1, 1, 1, 1), float(n)) for n in range(layer)], layer).flatten().tolist() == [
        earlier,
        layer - 1,
    ]


def test_head_starts_at_the_prior() -> None:
    network = ContextAggregation(in_channels=1, classes=5, width=4, prior=0.02)
    assert torch.sigmoid(network.head.bias).tolist() == [pytest.approx(0.02)] * 5


def test_class_logit_is_the_maximum_of_its_mask_channel() -> None:
    logits = torch.tensor([[[[1.0, 5.0]], [[-2.0, -3.0]]]])
    assert class_logits(logits).tolist() == [[5.0, -2.0]]


def test_inspector_normalises_bytes() -> None:
    inspector = Inspector(torch.nn.Identity(), mean=[0.5], deviation=[0.25])
    frames = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    assert inspector(frames).flatten().tolist() == [-2.0, 2.0]
