"""Part of the recipe that names the network: kind, size, input normalisation, members of an ensemble."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bundle import FrozenModel, InputSpec, TileGrid

Model = Literal[
    "can",
    "can-fine",
    "can-lite",
    "unet-lite",
    "patch-memory",
    "patch-classifier",
    "ensemble",
    "unet-resnet50",
    "unet-densenet121",
    "hrnet",
    "upernet",
    "upernet-lite",
]

WITHOUT_ENCODER: frozenset[Model] = frozenset({"can", "can-fine", "ensemble"})

Encoder = Literal["lite0", "lite1", "lite2"]

CELL_PX: Mapping[Model, int] = MappingProxyType(
    {"can-fine": 4, "can-lite": 16, "unet-lite": 32, "patch-memory": 16, "patch-classifier": 16}
)
"""Stride of the coarsest layer, which divides the sides of the input; a peer pads its input itself."""
MASK_PX: Mapping[Model, int] = MappingProxyType(
    {"can-fine": 2, "can-lite": 2, "unet-lite": 2, "patch-memory": 4, "patch-classifier": 4}
)
"""Their heads work at this share of the input size."""


MOST_MEMBERS = 8
"""Networks of an ensemble."""
MOST_SCALES = 4

Scale = Annotated[float, Field(ge=0.25, le=2)]


class MemberRecipe(FrozenModel):
    """A network of an ensemble, with the size of its input."""

    height: int = Field(ge=8, le=65536)
    width: int = Field(ge=8, le=65536)
    network: "NetworkRecipe"


class NetworkRecipe(FrozenModel):
    """Network and input normalisation."""

    model: Model = "can"
    """The paper's CAN, a CAN with a strided stem and a finer head, a CAN on a pretrained encoder, a U-Net on the same
    encoder, a memory of good patches or a classifier of patches on it, finished networks together, or a peer."""
    width: int = Field(default=64, ge=1, le=1024)
    pooling: int = Field(default=2, ge=1, le=64)
    """Average pooling in front of "can": pixels per side."""
    skip: Literal["concat", "add"] = "concat"
    separable: bool = False
    """Depthwise separable dilated layers in a CAN: a seventh of their multiplications at width 32."""
    normalise: Literal["fixed", "image"] = "fixed"
    """By `mean` and `deviation`, or by the mean and deviation of each image."""
    mean: tuple[float, ...] = (0.5,)
    """For values 0 to 1, one number per input channel."""
    deviation: tuple[Annotated[float, Field(gt=0)], ...] = (0.25,)
    prior: float = Field(default=0.5, gt=0, lt=1)
    """Defect probability of each pixel of an untrained CAN."""
    patches: int = Field(default=1000, ge=1, le=20_000)
    """Entries of "patch-memory"."""
    encoder: Encoder = "lite0"
    """EfficientNet-Lite of "can-lite", "unet-lite", "upernet-lite", "patch-memory" and "patch-classifier"; lite2 is
    the largest."""
    scales: tuple[tuple[Scale, Scale], ...] = Field(default=((1, 1),), min_length=1, max_length=MOST_SCALES)
    """Sizes at which the encoder of "patch-classifier" sees a picture, as shares of the input's height and width."""
    pretrained: bool = True
    """Initialise an encoder (peers, "can-lite", "unet-lite", "upernet-lite", "patch-memory", "patch-classifier") with
    ImageNet weights."""
    weights: str = ""
    """File of the encoder's ImageNet weights, from `torch.save`; else the installed package of an EfficientNet-Lite
    or the hub of timm or segmentation-models-pytorch."""
    members: tuple[MemberRecipe, ...] = Field(default=(), max_length=MOST_MEMBERS)
    """Networks of "ensemble", which `train ensemble` joins; the masks have the grid of the first. A classifier of
    patches comes first and decides, the others help to outline."""

    @model_validator(mode="after")
    def _of_members(self) -> "NetworkRecipe":
        if (self.model == "ensemble") != (len(self.members) >= 2):
            raise ValueError(
                f"found {self.model} with {len(self.members)} members; an ensemble has 2 to {MOST_MEMBERS} and joins "
                "finished runs: train ensemble A/best.pt B/best.pt"
            )
        if self.model != "patch-classifier" and self.scales != ((1, 1),):
            raise ValueError(f"found scales of {self.model}, which sees a picture at one size; set scales=[[1, 1]]")
        if self.weights and not self.pretrained:
            raise ValueError(f"found weights {self.weights} without pretrained; leave out one of the two")
        if self.weights and self.model in WITHOUT_ENCODER:
            raise ValueError(f"found weights of {self.model}, which has no pretrained encoder; remove them")
        if any(member.network.members for member in self.members):
            raise ValueError("found an ensemble as a member of another; join their members instead")
        if self.members and self.members[0].network.is_memory:
            raise ValueError("found a memory of good parts as the first member; name a network of the classes first")
        if any(member.network.model == "patch-classifier" for member in self.members[1:]):
            raise ValueError("found a classifier of patches behind another member; it decides: name it first, and once")
        if self.is_decided and any(member.network.is_memory for member in self.members):
            raise ValueError("found a memory of good parts beside a classifier of patches, which decides; leave it out")
        return self

    @property
    def is_decided(self) -> bool:
        """Whether the first member of an ensemble alone decides: a classifier of patches finds more than the others."""
        return bool(self.members) and self.members[0].network.model == "patch-classifier"

    @property
    def is_memory(self) -> bool:
        """Whether it is a memory of good parts, whose masks have the one channel `Anomaly`."""
        return self.model == "patch-memory"

    @property
    def one_pass(self) -> bool:
        """Whether it is fitted to the features of a frozen encoder, which sees each picture once."""
        return self.model in ("patch-memory", "patch-classifier")

    @property
    def cell_px(self) -> int:
        """Input pixels along each side for one cell of the network's own grid; a peer pads its input itself."""
        if self.members:
            return self.members[0].network.cell_px
        return self.pooling if self.model == "can" else CELL_PX.get(self.model, 1)

    @property
    def mask_px(self) -> int:
        """Input pixels along each side for one pixel of the masks."""
        if self.members:
            return self.members[0].network.mask_px
        return self.pooling if self.model == "can" else MASK_PX.get(self.model, 1)

    def tile_grid(self, spec: InputSpec) -> TileGrid | None:
        """Places of the tiles in a picture of this input; None without tiles."""
        if spec.tiles is None:
            return None
        cells = spec.height // self.mask_px, spec.width // self.mask_px
        return TileGrid.of(spec.tiles, (spec.height, spec.width), cells)
