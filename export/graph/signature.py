"""Inputs and outputs of a bundle's ONNX graph."""

from collections.abc import Sequence

import onnx
from onnx import TensorProto

from bundle import InputSpec, MaskSize
from export.errors import GraphError

OPSET = 19
"""The first whose QuantizeLinear takes float16; TensorRT 10 takes up to 20, onnxruntime since 1.15."""

FRAMES, SCORES, MASKS = "frames", "scores", "masks"


def check_graph(model: onnx.ModelProto, spec: InputSpec, classes: Sequence[str]) -> MaskSize:
    """Check a graph against the contract and return the size of its masks.

    `frames` uint8 [N, C, H, W] in; `scores` float32 [N, classes], `masks` uint8 [N, classes, h, w] out, in this
    order, N symbolic; the opset above and no operators of other domains; no BatchNormalization left. With tiles H, W,
    h and w are of a tile, and the returned size is of the whole picture.
    Raises GraphError: what, found, expected.
    """
    _check_valid(model)
    _expect("opsets", {entry.domain: entry.version for entry in model.opset_import}, {"": OPSET})
    seen = spec.network
    _expect(
        "inputs", _signature(model.graph.input), [(FRAMES, "UINT8", [None, seen.channels, seen.height, seen.width])]
    )
    outputs = _signature(model.graph.output)
    height, width = outputs[-1][2][-2:] if outputs and len(outputs[-1][2]) == 4 else (None, None)
    scores, masks = (SCORES, "FLOAT", [None, len(classes)]), (MASKS, "UINT8", [None, len(classes), height, width])
    _expect("outputs", outputs, [scores, masks])
    _expect("nodes BatchNormalization", sum(node.op_type == "BatchNormalization" for node in model.graph.node), 0)
    if height is None or width is None:
        raise GraphError("graph: masks: found no fixed height and width, expected both; export with a fixed input size")
    return MaskSize(height=height * spec.height // seen.height, width=width * spec.width // seen.width)


def _check_valid(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GraphError(f"graph: found no valid ONNX ({reason}); report this with the recipe") from None


def _signature(values: Sequence[onnx.ValueInfoProto]) -> list[tuple[str, str, list[int | None]]]:
    """Name, type and sides; a symbolic side is None."""
    signature = []
    for value in values:
        tensor = value.type.tensor_type
        sides = [side.dim_value if side.HasField("dim_value") else None for side in tensor.shape.dim]
        signature.append((value.name, TensorProto.DataType.Name(tensor.elem_type), sides))
    return signature


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise GraphError(f"graph: {what}: found {found}, expected {expected}; the network does not fit a bundle")
