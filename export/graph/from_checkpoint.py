"""Export of a checkpoint's network to ONNX. The only file of this package that imports torch."""

import logging
import warnings
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bundle import FrameError, Image, InputSpec, first_problem
from bundle.images import decode_image
from bundle.tiling import Outputs as NetworkOutputs
from export.errors import GraphError
from export.graph.cleanup import tidied
from export.graph.signature import FRAMES, MASKS, OPSET, SCORES
from train.models.checkpoint import Meta, build_network, file_sha256, load_checkpoint
from train.models.network import NormalisedNetwork, normalised, scores_and_masks
from train.recipe import Recipe


class BundleNetwork(nn.Module):
    """Network with the inputs and outputs of a bundle: normalisation first, scores and masks last.

    frames uint8 [N, C, H, W] -> scores float32 [N, classes], the maximum of each channel's probabilities, and masks
    uint8 [N, classes, h, w], Floor(p * 255 + 0.5).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: NormalisedNetwork):
        super().__init__()
        self.body = network.body
        self.by_image = network.by_image
        self.register_buffer("mean", network.mean)
        self.register_buffer("deviation", network.deviation)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Scores with masks."""
        return scores_and_masks(self.body(normalised(frames, self.mean, self.deviation, self.by_image)))


@dataclass(frozen=True)
class Source:
    """A loaded checkpoint with its network."""

    meta: Meta
    sha256: str
    network: BundleNetwork
    input: InputSpec
    """Input of the bundle: the recipe's, or another size."""

    @property
    def example(self) -> Image | None:
        """A good picture at the network's input, for golden frames; None where drawn parts suffice."""
        if not self.meta.example:
            return None
        try:
            return decode_image(Path("example"), b64decode(self.meta.example, validate=True))
        except (ValueError, FrameError) as error:
            raise GraphError(f"checkpoint: example: {error}; train again") from None

    def infer(self, inputs: Image) -> NetworkOutputs:
        """Run preprocessed frames, uint8 [N, C, H, W], by torch: scores float32 [N, C], masks uint8 [N, C, h, w]."""
        grid = self.meta.recipe.network.tile_grid(self.input)
        return self._infer(inputs) if grid is None else grid.infer(inputs, lambda batches: map(self._infer, batches))

    def _infer(self, inputs: Image) -> NetworkOutputs:
        with torch.inference_mode():
            scores, masks = self.network(torch.from_numpy(inputs))
        return scores.numpy(), masks.numpy()

    def to_onnx(self) -> onnx.ModelProto:
        """Export to ONNX with N symbolic; BatchNorm is folded into the convolution before it.

        Raises GraphError if torch cannot export it.
        """
        spec = self.input.network
        frames = torch.zeros(2, spec.channels, spec.height, spec.width, dtype=torch.uint8)  # 1 would be taken as fixed
        try:
            with _quiet():
                program = torch.onnx.export(
                    self.network,
                    (frames,),
                    dynamo=True,
                    opset_version=OPSET,
                    input_names=[FRAMES],
                    output_names=[SCORES, MASKS],
                    dynamic_shapes={FRAMES: {0: torch.export.Dim("N", min=1)}},
                    verbose=False,
                )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error).strip().splitlines()[0]
            raise GraphError(
                f"network: torch cannot write it as ONNX ({reason}); report this with the recipe"
            ) from None
        assert program is not None  # only dynamo=False gives None
        return tidied(program.model_proto)


def read_source(checkpoint: Path, size: tuple[int, int] | None = None) -> Source:
    """Read a checkpoint of `train`; `size` is another height and width than the recipe's for the network's input.

    Raises CheckpointError for one that is missing, damaged, or not of the network it names, GraphError for a size that
    the network cannot take.
    """
    stored = load_checkpoint(checkpoint)
    network = BundleNetwork(build_network(stored))
    return Source(stored.meta, file_sha256(checkpoint), network.eval(), _input(stored.meta.recipe, size))


def _input(recipe: Recipe, size: tuple[int, int] | None) -> InputSpec:
    if size is None:
        return recipe.input
    content = recipe.model_dump()
    content["input"] |= {"height": size[0], "width": size[1]}
    try:
        return Recipe.model_validate(content).input
    except ValidationError as error:
        raise GraphError(f"size {size[0]}x{size[1]} (height x width): {first_problem(error)}; choose another") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings and log messages of torch's exporter."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
