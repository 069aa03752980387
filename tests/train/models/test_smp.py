import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.torchvision_operators import declare_torchvision_operators
from train.errors import TrainError
from train.models.build import make_network
from train.models.smp import FROM_TIMM, PEERS, Padded, make_peer
from train.network_recipe import NetworkRecipe


class Same(torch.nn.Module):
    """Gives its input back, and refuses sides that 32 does not divide, as the peers do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2] % 32 == 0
        assert x.shape[3] % 32 == 0
        return x


@pytest.mark.parametrize("size", [(32, 64), (33, 31), (400, 300)])
def test_padding_is_cut_off_again(size: tuple[int, int]) -> None:
    x = torch.rand(1, 2, *size)
    assert torch.equal(Padded(Same())(x), x)


@pytest.fixture
def library() -> None:
    """Make segmentation-models-pytorch importable, or skip."""
    if find_spec("segmentation_models_pytorch") is None:
        pytest.skip("segmentation-models-pytorch is not installed: pip install 'edge-inspect[peers]'")
    declare_torchvision_operators()


@pytest.mark.parametrize("model", sorted(PEERS))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_peer_gives_a_mask_per_class_at_the_size_of_the_frame(library: None, model: str) -> None:
    network = make_network(NetworkRecipe(model=model, pretrained=False), in_channels=1, classes=5).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 40, 36, dtype=torch.uint8)).shape == (1, 5, 40, 36)


def test_weights_that_cannot_be_had_are_one_clear_line(library: None, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    hub = sys.modules.get("huggingface_hub.constants")
    if hub is not None:
        monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(TrainError, match=r"found no ImageNet weights for resnet50 .*--no-pretrained") as caught:
        make_peer(NetworkRecipe(model="unet-resnet50"), in_channels=1, classes=5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", sorted(PEERS))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_weights_come_from_a_named_file(library: None, model: str, tmp_path: Path) -> None:
    path = tmp_path / "classifier.pth"
    given = classifier(model)
    torch.save(given, path)
    recipe = NetworkRecipe(model=model, weights=str(path))
    grey, colour = (encoder_of(make_peer(recipe, channels, classes=5)) for channels in (1, 3))

    same = [name for name, tensor in colour.items() if torch.equal(tensor, given[name])]
    assert len(same) == len(colour)
    first = next(name for name, tensor in colour.items() if tensor.dim() == 4)
    assert torch.allclose(grey[first], given[first].sum(dim=1, keepdim=True))
    assert all(torch.equal(grey[name], colour[name]) for name in colour if name != first)


@pytest.mark.parametrize("model", ["unet-resnet50", "hrnet"])
def test_weights_of_another_network_are_one_clear_line(library: None, model: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    with pytest.raises(
        TrainError, match=r"other.pth: found weights of another network than .* \.\.\.\); name a file"
    ) as caught:
        make_peer(NetworkRecipe(model=model, weights=str(path)), in_channels=1, classes=5)
    assert "\n" not in str(caught.value)


def classifier(model: str) -> dict[str, torch.Tensor]:
    """Random weights of a whole classifier for colour images, as such files have them."""
    torch.manual_seed(1)
    name = PEERS[model][1].format("lite0")
    if name.startswith(FROM_TIMM):
        state: dict[str, torch.Tensor] = import_module("timm").create_model(name.removeprefix(FROM_TIMM)).state_dict()
        return state
    whole = make_peer(NetworkRecipe(model=model, pretrained=False), in_channels=3, classes=5)
    last = "classifier" if name.startswith("densenet") else "fc"
    return encoder_of(whole) | {f"{last}.weight": torch.zeros(1000, 8), f"{last}.bias": torch.zeros(1000)}


def encoder_of(peer: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Its tensors under the names of a classifier's file."""
    encoder = peer.network.encoder
    return dict(getattr(encoder, "model", encoder).state_dict())
