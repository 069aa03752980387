"""Peer networks of the paper's comparison, from segmentation-models-pytorch (timm encoders)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from train.errors import TrainError
from train.models.optional_package import import_optional
from train.models.pretrained import ADVICE, NAME, read_tensors, whole_network
from train.network_recipe import Model, NetworkRecipe

FROM_TIMM = "tu-"
"""The library's mark of an encoder that timm builds."""

PEERS: dict[Model, tuple[str, str]] = {
    "unet-resnet50": ("Unet", "resnet50"),
    "unet-densenet121": ("Unet", "densenet121"),
    "hrnet": ("Unet", "tu-hrnet_w18"),  # paper: "HRNetV1" without a width; the smallest, with a U-Net decoder
    "upernet": ("UPerNet", "resnet50"),  # the paper names no encoder
    "upernet-lite": ("UPerNet", FROM_TIMM + NAME),  # not in the paper; its weights can be had without the internet
}
"""Model -> architecture and encoder, under the library's names."""

STRIDE = 32
"""Input height and width must be multiples of this."""


class Padded(nn.Module):
    """A network with its input zero-padded to multiples of `STRIDE` and its output cropped back.

    Zero is the mean after normalisation.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the size of the input."""
        height, width = x.shape[2:]
        padded = functional.pad(x, (0, -width % STRIDE, 0, -height % STRIDE))
        logits: Tensor = self.network(padded)  # [B, classes, H, W]
        return logits[:, :, :height, :width]


def make_peer(recipe: NetworkRecipe, in_channels: int, classes: int) -> nn.Module:
    """Build the one of `PEERS` that `recipe.model` names, for images of 1 or 3 channels.

    Raises TrainError if the library is missing, or the weights are those of another network or cannot be had.
    """
    library = import_optional("segmentation_models_pytorch", "peers")
    architecture, encoder = PEERS[recipe.model]
    encoder = encoder.format(recipe.encoder)
    given = _given_weights(recipe) if recipe.pretrained else None
    weights: str | bool | None = None
    if recipe.pretrained and given is None:
        weights = True if encoder.startswith(FROM_TIMM) else "imagenet"  # the library has no name for timm's
    try:
        network = getattr(library, architecture)(
            encoder, encoder_weights=weights, in_channels=in_channels, classes=classes
        )
    except Exception as error:  # the download raises errors of four libraries
        if weights is None:
            raise
        reason = str(error).strip().splitlines()[0]
        raise TrainError(
            f"{recipe.model}: found no ImageNet weights for {encoder} ({reason}); connect to the internet once, name a "
            "file of them with --set network.weights=FILE, or train from random weights with --no-pretrained"
        ) from None
    if given is not None:
        _load(network.encoder, given, recipe, encoder)
    return Padded(network)


def _given_weights(recipe: NetworkRecipe) -> Mapping[str, Tensor] | None:
    """Weights of an encoder by its own names; None where the library is to download them."""
    if recipe.model == "upernet-lite":
        state: Mapping[str, Tensor] = whole_network(recipe.encoder, True, recipe.weights).state_dict()
        return state
    return read_tensors(Path(recipe.weights)) if recipe.weights else None


def _load(encoder: Any, given: Mapping[str, Tensor], recipe: NetworkRecipe, name: str) -> None:
    """Load a classifier's weights of ImageNet; what lies behind the encoder is left out."""
    from_timm = name.startswith(FROM_TIMM)
    target = encoder.model if from_timm else encoder  # the library's own leave a classifier's last layer out themselves
    own = target.state_dict()
    fitted = {key: _fit_colours(tensor, own.get(key)) for key, tensor in given.items() if key in own or not from_timm}
    try:
        target.load_state_dict(fitted)
    except RuntimeError as error:  # of torch, a line for each name
        reason = " ".join(str(error).split()).partition(": ")[2]
        raise TrainError(
            f"{recipe.weights}: found weights of another network than {name.removeprefix(FROM_TIMM)} "
            f"({reason[:80]} ...); {ADVICE}"
        ) from None


def _fit_colours(given: Tensor, own: Tensor | None) -> Tensor:
    """The first layer summed over the colours for grey images: what a grey image repeated in all three would give."""
    grey = own is not None and given.dim() == 4 and own.shape[1] == 1 and given.shape[1] == 3
    return given.sum(dim=1, keepdim=True) if grey else given
