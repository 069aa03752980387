"""Peer networks of the paper's comparison, from segmentation-models-pytorch (timm encoders)."""

from torch import Tensor, nn
from torch.nn import functional

from train.errors import TrainError
from train.models.optional_package import import_optional
from train.network_recipe import Model

PEERS: dict[Model, tuple[str, str]] = {
    "unet-resnet50": ("Unet", "resnet50"),
    "unet-densenet121": ("Unet", "densenet121"),
    "hrnet": ("Unet", "tu-hrnet_w18"),  # paper: "HRNetV1" without a width; the smallest, with a U-Net decoder
    "upernet": ("UPerNet", "resnet50"),  # the paper names no encoder
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


def make_peer(model: Model, in_channels: int, classes: int, pretrained: bool) -> nn.Module:
    """Build one of `PEERS`. Raises TrainError if the library is missing or the weights cannot be downloaded."""
    library = import_optional("segmentation_models_pytorch", "peers")
    architecture, encoder = PEERS[model]
    from_timm = encoder.startswith("tu-")  # the library has no name for their weights
    weights = (True if from_timm else "imagenet") if pretrained else None
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
