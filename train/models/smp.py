"""The networks that the document compares with, through segmentation-models-pytorch (timm encoders)."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.errors import TrainError
from train.recipe import Model

PEERS: dict[Model, tuple[str, str]] = {
    "unet-resnet50": ("Unet", "resnet50"),
    "unet-densenet121": ("Unet", "densenet121"),
    "hrnet": ("Unet", "tu-hrnet_w18"),  # the document says HRNetV1 and no width; the smallest, under a U-Net decoder
    "upernet": ("UPerNet", "resnet50"),  # the document names no encoder
}
"""Model -> architecture and encoder, as that library calls them."""

STRIDE = 32
"""Their sides must be divisible by this."""


class Padded(nn.Module):
    """A network whose input is padded to a multiple of `STRIDE`, and whose output is cropped back.

    The padding is 0, which is the mean after normalisation.
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


def make_peer(model: Model, in_channels: int, classes: int, pretrained: bool) -> nn.Module:
    """One of `PEERS`. Raises TrainError if the library is not installed or the weights cannot be had."""
    library = _library()
    architecture, encoder = PEERS[model]
    timms_own = encoder.startswith("tu-")  # whose weights have no name of their own in that library
    weights = (True if timms_own else "imagenet") if pretrained else None
    try:
        network: nn.Module = getattr(library, architecture)(
            encoder, encoder_weights=weights, in_channels=in_channels, classes=classes
        )
    except Exception as error:  # the download raises errors of four libraries
        if not pretrained:
            raise
        reason = str(error).strip().splitlines()[0]
        raise TrainError(
            f"{model}: found no ImageNet weights for {encoder} ({reason}); "
            "connect to the internet once, or train from random weights with --no-pretrained"
        ) from None
    return Padded(network)


def _library() -> Any:
    try:
        return import_module("segmentation_models_pytorch")
    except (ImportError, RuntimeError) as error:  # torchvision raises RuntimeError where it does not fit torch
        raise TrainError(
            f"segmentation-models-pytorch: cannot be imported ({str(error).splitlines()[0]}); install the extra "
            f"`peers` with a torchvision that fits torch {torch.__version__}: pip install 'edge-inspect[peers]'"
        ) from None
