"""Networks for the comparison of engines: weights of a shipped bundle at another input size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from bundle import Bundle, Precision, Tolerance, load_bundle, write_bundle
from bundle.folder import MODEL
from bundle.golden import encode
from export.bundles.assemble import open_draft
from export.bundles.golden_frames import answered
from export.errors import GraphError
from export.graph.cleanup import cleaned, to_bytes
from export.graph.fp16 import halved
from export.graph.signature import FRAMES, MASKS, check_graph

WIDE = Tolerance(score=0.2, mask=64)
"""Tolerance for networks whose outputs are meaningless: detects another network, says nothing about an engine."""


@dataclass(frozen=True)
class Setting:
    """Input size and pooling of the comparison."""

    height: int = 400
    width: int = 300
    pooling: int = 2

    def __str__(self) -> str:
        return f"{self.height}x{self.width}, pooling {self.pooling}"


SETTING = Setting()


def comparison_bundles(sources: Sequence[Bundle], folder: Path, setting: Setting = SETTING) -> list[Bundle]:
    """Write bundles of the setting into a folder: fp32 and fp16 of a float source, INT8 with fp16 of an INT8 one.

    The sources have average pooling in front, at which their weights were trained. At another one the answers are
    worth nothing; operations, sizes and ranges are those of a real network. Raises GraphError without such a pooling.
    """
    made = []
    for source in sources:
        model = resized(onnx.load(source.model), setting)
        if source.manifest.precision == "fp32":
            made.append(bundle_of(source, model, "fp32", folder / "compared-fp32"))
        half = "fp16" if source.manifest.precision == "fp32" else source.manifest.precision
        made.append(bundle_of(source, halved(model), half, folder / f"compared-{half}"))
    return made


def resized(model: onnx.ModelProto, setting: Setting) -> onnx.ModelProto:
    """Return a bundle's graph for frames of another size, with another pooling."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    pools = [node for node in other.graph.node if node.op_type == "AveragePool"]
    if len(pools) != 1:
        raise GraphError(f"graph: found {len(pools)} AveragePool, expected the one in front; take another bundle")
    for attribute in pools[0].attribute:
        if attribute.name in ("kernel_shape", "strides"):
            attribute.ints[:] = [setting.pooling, setting.pooling]
    made = setting.height // setting.pooling, setting.width // setting.pooling
    for value in (*other.graph.input, *other.graph.output):
        sides = {FRAMES: (setting.height, setting.width), MASKS: made}.get(value.name, ())
        for side, length in zip(value.type.tensor_type.shape.dim[2:], sides, strict=True):
            side.dim_value = length
    return cleaned(other)


def bundle_of(source: Bundle, model: onnx.ModelProto, precision: Precision, path: Path) -> Bundle:
    """Write a bundle of this graph, with classes and golden frames of another one. Raises GraphError."""
    height, width = (side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim[2:])
    spec = source.manifest.input.model_copy(update={"height": height, "width": width})
    changes = {
        "name": path.name,
        "input": spec,
        "masks": check_graph(model, spec, source.manifest.classes),
        "precision": precision,
        "tolerances": {precision: WIDE},
    }
    manifest = source.manifest.model_copy(update=changes)
    content = to_bytes(model)
    golden = answered(source.golden.frames, spec, open_draft(content, manifest).infer)
    write_bundle(path, manifest, {MODEL: content} | encode(golden))
    return load_bundle(path)
