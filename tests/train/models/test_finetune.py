from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from bundle import Threshold
from tests.torchvision_operators import declare_torchvision_operators
from train.data.anomaly import ANOMALY
from train.data.splits import Split
from train.errors import CheckpointError
from train.models import finetune
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, load_checkpoint
from train.models.finetune import SURFACE_BASE, checkpoint_path, start_from
from train.recipe import load_recipe


def checkpoint_of(recipe, classes: tuple[str, ...]) -> Checkpoint:
    """Make a checkpoint of a fresh network."""
    weights = make_network(recipe.network, recipe.input.channels, len(classes)).state_dict()
    split = Split(kind="random", seed=0, images={})
    thresholds = {name: Threshold() for name in classes}
    return Checkpoint(Meta(recipe=recipe, classes=classes, split=split, thresholds=thresholds, epoch=4), weights)


def test_known_classes_keep_their_rows_and_new_ones_are_fresh(quick_recipe) -> None:
    given = checkpoint_of(quick_recipe(), ("pit", "scratch", "dent"))
    network = make_network(quick_recipe().network, 1, 3)
    before = network.state_dict()["body.head.weight"].clone()
    told = start_from(network, ("dent", "stain", "pit"), given)
    head, source = network.state_dict()["body.head.weight"], given.weights["body.head.weight"]
    assert torch.equal(head[0], source[2])
    assert torch.equal(head[1], before[1])
    assert torch.equal(head[2], source[0])
    assert torch.equal(network.state_dict()["body.layers.3.0.weight"], given.weights["body.layers.3.0.weight"])
    assert told == "starts from epoch 4 of quick; new classes: stain"


def test_fewer_and_more_classes_fit(quick_recipe) -> None:
    given = checkpoint_of(quick_recipe(), ("pit", "scratch"))
    for classes in (("scratch",), ("a", "b", "c", "pit")):
        start_from(make_network(quick_recipe().network, 1, len(classes)), classes, given)


def test_input_is_normalised_as_the_recipe_says(quick_recipe) -> None:
    given = checkpoint_of(quick_recipe(), ("pit",))
    network = make_network(quick_recipe().network.model_copy(update={"mean": (0.7,), "deviation": (0.1,)}), 1, 1)
    start_from(network, ("pit",), given)
    assert (network.mean.item(), network.deviation.item()) == pytest.approx((0.7, 0.1))


def test_another_width_is_refused(quick_recipe) -> None:
    given = checkpoint_of(quick_recipe(network={"width": 8, "pooling": 4}), ("pit",))
    with pytest.raises(CheckpointError, match=r"--init: found body\.layers\.0\.0\.weight of shape \[8, 1, 3, 3\]"):
        start_from(make_network(quick_recipe().network, 1, 1), ("pit",), given)


@pytest.mark.parametrize(("there", "here"), [(1, 3), (3, 1)])
@pytest.mark.parametrize("model", ["can", "can-fine"])
def test_grey_and_colour_start_each_other_with_equal_results_for_grey(quick_recipe, model, there, here) -> None:
    torch.manual_seed(1)
    network = {"model": model, "width": 16, "pooling": 4}
    recipes = {
        n: quick_recipe(
            input={"height": 32, "width": 32, "channels": n},
            network=network | {"mean": [0.5] * n, "deviation": [0.2] * n},
        )
        for n in (there, here)
    }
    given = checkpoint_of(recipes[there], ("pit",))
    source, started = (make_network(recipes[n].network, n, 1).eval() for n in (there, here))
    source.load_state_dict(given.weights)
    start_from(started, ("pit",), given)
    grey = torch.rand(2, 1, 32, 32) * 255
    with torch.inference_mode():
        expected, found = source(grey.expand(-1, there, -1, -1)), started(grey.expand(-1, here, -1, -1))
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)


def test_the_packages_checkpoint_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_checkpoint(checkpoint_path(SURFACE_BASE)).meta.recipe.network.model == "can-fine"
    assert checkpoint_path("runs/best.pt") == Path("runs/best.pt")
    (tmp_path / SURFACE_BASE).touch()
    assert checkpoint_path(SURFACE_BASE) == Path(SURFACE_BASE)  # a file of this name is the user's


def test_a_package_without_its_checkpoint_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune.train, "__file__", str(tmp_path / "train" / "__init__.py"))
    with pytest.raises(
        CheckpointError, match=r"--init surface-base: found none of .*surface-base\.pt, .*name the file"
    ):
        checkpoint_path(SURFACE_BASE)


@pytest.mark.parametrize("channels", [1, 3])
def test_own_parts_start_from_the_packages_checkpoint(channels: int) -> None:
    of_input = [f"network.mean={[0.5] * channels}", f"network.deviation={[0.2] * channels}"]
    recipe = load_recipe("own-parts", [f"input.channels={channels}", *of_input])
    classes = ("pit", "Crack")
    network = make_network(recipe.network, channels, len(classes))
    given = load_checkpoint(checkpoint_path(SURFACE_BASE))
    told = start_from(network, classes, given)
    assert told.endswith("; new classes: pit")
    head = network.state_dict()["body.head.weight"]
    assert torch.equal(head[1], given.weights["body.head.weight"][given.meta.classes.index("Crack")])
    assert given.meta.data
    assert given.meta.citation


LITE = ["network.pretrained=false", "input.height=64", "input.width=64"]


def memory_checkpoint() -> Checkpoint:
    """Make a checkpoint of a network that knows good parts alone, with an encoder of its own."""
    declare_torchvision_operators()
    torch.manual_seed(5)
    return checkpoint_of(load_recipe("good-only", [*LITE, "network.patches=8"]), (ANOMALY,))


needs_timm = pytest.mark.skipif(
    find_spec("timm") is None, reason="timm is not installed: pip install 'edge-inspect[pretrained]'"
)


@needs_timm
@pytest.mark.parametrize("model", ["unet-lite", "can-lite"])
def test_the_encoder_of_good_parts_alone_starts_a_network_of_defects(model: str) -> None:
    given = memory_checkpoint()
    recipe = load_recipe("own-parts", [*LITE, f"network.model={model}", "network.width=16"])
    network = make_network(recipe.network, 1, 2)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    told = start_from(network, ("pit", "scratch"), given)
    encoder = [key for key in given.weights if key.startswith("body.encoder.")]

    assert len(encoder) > 100
    assert all(torch.equal(network.state_dict()[key], given.weights[key]) for key in encoder)
    assert any(not torch.equal(before[key], given.weights[key]) for key in encoder)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items() if key not in encoder)
    assert told == "starts from the encoder of good-only; the other layers are new"


@needs_timm
def test_a_network_without_that_encoder_is_refused(quick_recipe) -> None:
    with pytest.raises(CheckpointError, match=r"good parts alone, .* add --set network\.model=unet-lite"):
        start_from(make_network(quick_recipe().network, 1, 1), ("pit",), memory_checkpoint())
