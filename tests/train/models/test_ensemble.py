"""Several networks as one: sizes, mean of the logits, recipe, factory."""

import pytest
import torch
from torch import Tensor, nn

from tests.torchvision_operators import declare_torchvision_operators
from train.errors import RecipeError
from train.models.build import OPINION, make_network
from train.models.ensemble import MOST_LOGIT, Ensemble
from train.network_recipe import NetworkRecipe
from train.recipe import load_recipe, with_overrides


def members_of(*models: str) -> dict[str, object]:
    """An ensemble of these kinds of networks."""
    return {"model": "ensemble", "members": [{"height": 16, "width": 16, "network": {"model": one}} for one in models]}


class Constant(nn.Module):
    """A network that says one value everywhere, on a grid of its own, and keeps the frames that it saw."""

    def __init__(self, value: float, grid: tuple[int, int]):
        super().__init__()
        self.value, self.grid = value, grid
        self.seen: list[Tensor] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.seen.append(frames)
        return torch.full((len(frames), 2, *self.grid), self.value)


def test_each_member_sees_the_frames_in_its_size_and_the_first_gives_the_grid() -> None:
    one, other = Constant(1.0, (8, 6)), Constant(4.0, (5, 3))
    found = Ensemble([one, other], [(16, 12), (10, 8)])(torch.rand(3, 1, 16, 12))
    assert found.shape == (3, 2, 8, 6)
    assert torch.allclose(found, torch.tensor(2.5))
    assert [each.seen[0].shape for each in (one, other)] == [(3, 1, 16, 12), (3, 1, 10, 8)]


def test_no_member_overrules_the_others() -> None:
    found = Ensemble([Constant(-1e6, (2, 2)), Constant(MOST_LOGIT, (2, 2))], [(8, 8)] * 2)(torch.rand(1, 1, 8, 8))
    assert torch.allclose(found, torch.tensor(0.0))


@pytest.mark.parametrize(("opinion", "added"), [(6.0, 6.0), (1e6, MOST_LOGIT), (-1e6, -MOST_LOGIT)])
def test_an_opinion_moves_the_whole_picture_within_bounds(opinion: float, added: float) -> None:
    class Spot(nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            logits = torch.full((len(frames), 1, 4, 3), -1e6)
            logits[:, :, 2, 1] = opinion
            return logits

    members = [Constant(1.0, (8, 6)), Constant(2.0, (8, 6)), Spot()]
    found = Ensemble(members, [(16, 12)] * 3, [None, None, 0.25])(torch.rand(3, 1, 16, 12))
    assert found.shape == (3, 2, 8, 6)
    assert torch.allclose(found, torch.tensor(1.5 + 0.25 * added))


class Maps(nn.Module):
    """A network that says the same logits for every frame."""

    def __init__(self, logits: list[float]):
        super().__init__()
        self.logits = torch.tensor(logits).reshape(1, 1, 1, -1)

    def forward(self, frames: Tensor) -> Tensor:
        return self.logits.expand(len(frames), -1, -1, -1)


@pytest.mark.parametrize(
    ("first", "other", "expected"),
    [
        ([2.0, -4.0, -4.0, 0.5], [6.0, 6.0, -8.0, 0.5], [2.0, 0.5, -6.0, 0.25]),  # above 0 scaled by 2 / 4
        ([-3.0, -5.0, -9.0, -9.0], [9.0, 9.0, -9.0, -9.0], [-3.0, -3.0, -12.0, -12.0]),  # sure that there is none
        ([3.0, -5.0, -9.0, -9.0], [-9.0, -9.0, -9.0, -9.0], [3.0, -3.0, -5.0, -5.0]),  # others see nothing: raised
    ],
)
def test_where_the_first_decides_the_others_outline(
    first: list[float], other: list[float], expected: list[float]
) -> None:
    frames = torch.rand(2, 1, 8, 8)
    found = Ensemble([Maps(first), Maps(other)], [(8, 8)] * 2, decides=True)(frames)
    assert torch.allclose(found.amax(dim=(2, 3)), torch.tensor(max(first)))
    assert torch.allclose(found.flatten(2)[0, 0], torch.tensor(expected))


def test_which_members_are_opinions_and_which_decides() -> None:
    declare_torchvision_operators()
    kinds: dict[str, dict[str, object]] = {
        "can": {"width": 4, "pooling": 4},
        "patch-classifier": {"width": 4, "pretrained": False},
        "patch-memory": {"patches": 5, "pretrained": False},
    }

    def body(*models: str) -> Ensemble:
        members = [{"height": 16, "width": 16, "network": {"model": one, **kinds[one]}} for one in models]
        made = make_network(NetworkRecipe.model_validate({"model": "ensemble", "members": members}), 1, 3).body
        assert isinstance(made, Ensemble)
        return made

    with_memory = body("can", "can", "patch-memory")
    assert (with_memory.opinions, with_memory.decides) == ((None, None, OPINION), False)
    decided = body("patch-classifier", "can")
    assert (decided.opinions, decided.decides) == ((None, None), True)


def test_the_factory_gives_frames_unchanged_to_the_members() -> None:
    member = {"height": 16, "width": 16, "network": {"width": 4, "pooling": 4, "mean": [0.3]}}
    recipe = NetworkRecipe.model_validate(
        {"model": "ensemble", "members": [member] * 2, "mean": [0.0], "deviation": [1 / 255]}
    )
    network = make_network(recipe, 1, 3).eval()
    frames = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
    alone = [each(frames) for each in network.body.networks]
    assert torch.allclose(network(frames), (alone[0] + alone[1]) / 2, atol=1e-5)
    assert (recipe.cell_px, recipe.mask_px) == (4, 4)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"model": "ensemble"}, "found ensemble with 0 members"),
        ({"model": "can", "members": [{"height": 8, "width": 8, "network": {}}] * 2}, "found can with 2 members"),
        ({"model": "ensemble", "members": [{"height": 8, "width": 8, "network": {}}] * 9}, "at most 8"),
        (
            {"model": "ensemble", "members": [{"height": 8, "width": 8, "network": {"model": "patch-memory"}}] * 2},
            "a memory of good parts as the first member",
        ),
        (members_of("can", "patch-classifier"), "a classifier of patches behind another member"),
        (members_of("patch-classifier", "patch-classifier"), "name it first, and once"),
        (
            members_of("patch-classifier", "can", "patch-memory"),
            "a memory of good parts beside a classifier of patches",
        ),
    ],
)
def test_members_belong_to_an_ensemble(network: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkRecipe.model_validate(network)


def test_an_ensemble_is_no_member() -> None:
    member = {"height": 8, "width": 8, "network": {"pooling": 4}}
    inner = {"height": 8, "width": 8, "network": {"model": "ensemble", "members": [member] * 2}}
    with pytest.raises(ValueError, match="join their members instead"):
        NetworkRecipe.model_validate({"model": "ensemble", "members": [inner, member]})


def test_a_recipe_that_asks_for_one_is_a_line() -> None:
    with pytest.raises(RecipeError, match="train ensemble"):
        with_overrides(load_recipe("demo-tiles"), ["network.model=ensemble"])
