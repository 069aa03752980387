import pytest
import torch

from train.models.build import make_network
from train.models.can import DILATIONS, ContextAggregation
from train.models.can_fine import FineContext
from train.models.network import NormalisedNetwork, image_scores, weight_count
from train.network_recipe import NetworkRecipe


@pytest.mark.parametrize(("width", "count"), [(64, 630_085), (32, 158_373)])
def test_weight_count_is_the_computed_one(width: int, count: int) -> None:
    assert weight_count(ContextAggregation(in_channels=1, classes=5, width=width)) == count


@pytest.mark.parametrize("skip", ["concat", "add"])
@pytest.mark.parametrize("pooling", [1, 2, 4])
def test_logits_come_at_the_pooled_size(pooling: int, skip: str) -> None:
    network = ContextAggregation(in_channels=3, classes=2, width=4, pooling=pooling, skip=skip)
    assert network(torch.zeros(1, 3, 24, 16)).shape == (1, 2, 24 // pooling, 16 // pooling)


@pytest.mark.parametrize(("width", "separable", "plain"), [(32, 25_093, 158_373), (64, 84_997, 630_085)])
def test_separable_layers_have_a_fraction_of_the_weights(width: int, separable: int, plain: int) -> None:
    """The first layer: 9 w weights and 3 w; a dilated one: 9 r + 2 r and r w + 3 w, of which r = 2 w in five."""
    network = ContextAggregation(in_channels=1, classes=5, width=width, separable=True)
    dilated = [width] * 7 + [2 * width] * 5
    counted = 12 * width + sum(11 * read + width * (read + 3) for read in dilated) + 5 * (width + 1)
    assert weight_count(network) == counted == separable
    assert weight_count(ContextAggregation(in_channels=1, classes=5, width=width)) == plain


def test_separable_layers_see_as_far_and_mix_all_channels() -> None:
    torch.manual_seed(0)
    reached = []
    for separable in (False, True):
        network = ContextAggregation(1, 1, width=4, pooling=1, separable=separable).eval().double()
        x = torch.randn(1, 1, 1, 601, dtype=torch.float64, requires_grad=True)
        network(x)[..., 300].sum().backward()
        seen = x.grad[0, 0, 0].nonzero().flatten()
        reached.append((int(seen.min()), int(seen.max())))
    assert reached[0] == reached[1] == (300 - sum(DILATIONS), 300 + sum(DILATIONS))


def test_the_first_layer_on_pictures_is_not_separable() -> None:
    """It reads one or three channels; the fine network's reads those of its stem."""
    assert ContextAggregation(1, 1, width=4, separable=True).layers[0][0].groups == 1
    assert FineContext(1, 1, width=4, separable=True).context.layers[0][0].groups == 4


@pytest.mark.parametrize("model", ["can", "can-fine"])
def test_the_recipe_makes_the_dilated_layers_separable(model: str) -> None:
    recipes = [NetworkRecipe(model=model, width=8, separable=chosen) for chosen in (False, True)]
    plain, separable = (
        [layer for layer in make_network(recipe, 1, 2).modules() if getattr(layer, "dilation", 1) == (64, 64)]
        for recipe in recipes
    )
    assert [layer.groups for layer in plain] == [1]
    assert [layer.groups for layer in separable] == [8]


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
    assert image_scores(logits).tolist() == [[5.0, -2.0]]


def test_network_normalises_bytes() -> None:
    network = NormalisedNetwork(torch.nn.Identity(), mean=[0.5], deviation=[0.25])
    frames = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    assert network(frames).flatten().tolist() == [-2.0, 2.0]


def test_by_image_a_darker_and_weaker_exposure_is_the_same_to_the_network() -> None:
    network = NormalisedNetwork(torch.nn.Identity(), mean=[0.5], deviation=[0.25], by_image=True)
    frames = torch.randint(60, 200, (1, 1, 8, 8), generator=torch.Generator().manual_seed(0)).float()
    assert torch.allclose(network(frames), network(frames * 0.8 - 20), atol=2e-3)  # LEAST_VARIANCE of 1,600
    assert network(frames).std() == pytest.approx(1, abs=0.02)


def test_an_even_image_stays_even_by_image() -> None:
    network = NormalisedNetwork(torch.nn.Identity(), mean=[0.5], deviation=[0.25], by_image=True)
    assert network(torch.full((1, 1, 4, 4), 90, dtype=torch.uint8)).abs().max() == 0


def test_fine_logits_come_at_half_the_input_size() -> None:
    network = FineContext(in_channels=1, classes=3, width=8, prior=0.02)
    assert network(torch.zeros(2, 1, 20, 12)).shape == (2, 3, 10, 6)
    assert torch.sigmoid(network.head.bias).tolist() == [pytest.approx(0.02)] * 3


@pytest.mark.parametrize(("model", "pooling"), [("can", 4), ("can-fine", 2)])
def test_the_recipe_knows_the_size_of_the_masks(model: str, pooling: int) -> None:
    recipe = NetworkRecipe(model=model, width=4, pooling=pooling)
    masks = make_network(recipe, in_channels=1, classes=2)(torch.zeros(1, 1, 24, 16))
    assert masks.shape[2:] == (24 // recipe.mask_px, 16 // recipe.mask_px)


def test_a_single_pixel_reaches_the_fine_masks_beside_it() -> None:
    """Average pooling by 4 would leave a sixteenth of it, the same wherever in its cell it lies."""
    torch.manual_seed(0)
    network = FineContext(in_channels=1, classes=1, width=8).eval()
    frames = torch.zeros(1, 1, 16, 16)
    moved = frames.clone()
    frames[..., 8, 8], moved[..., 11, 11] = 1, 1
    assert not torch.allclose(network(frames), network(moved))
