"""Conversion of a float32 graph to float16, between the normalisation and the probabilities.

Frames are cast to float16 first (0 to 255 are exact). From the last logits on, the graph is float32, so that scores and
the rounding of masks lose no more precision.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import GraphError
from export.graph.cleanup import cleaned
from export.graph.signature import SCORES

SMALLEST_SCALE = float(np.finfo(np.float16).smallest_normal)
"""Below 6.1e-5 a float16 loses precision, which the scale of a quantiser must keep."""

_STAY_FLOAT = frozenset({"Resize"})
"""Operators whose inputs are float32, except the first."""


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float16 copy of the graph with the same inputs and outputs.

    Raises GraphError for a weight that float16 cannot hold or a scale of a quantiser that it cannot hold well.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    tail = _tail(graph)
    stay = {name for node in tail for name in node.input}
    stay |= {name for node in graph.node if node.op_type in _STAY_FLOAT for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in stay:
            tensor.CopyFrom(_as_half(tensor))
    for node in graph.node:
        if node.op_type == "Cast" and node not in tail:
            _cast_to_half(node)
    graph.ClearField("value_info")
    _widen(graph, tail)
    return cleaned(half)


def _tail(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes from the last Sigmoid to the outputs."""
    makers = {output: node for node in graph.node for output in node.output}
    first = makers[SCORES]
    while first.op_type != "Sigmoid":
        if first.input[0] not in makers:
            raise GraphError("graph: found no Sigmoid before the scores, expected a bundle's graph; export it again")
        first = makers[first.input[0]]
    tail, reached = [], set[str]()
    for node in graph.node:
        if node == first or reached & set(node.input):
            tail.append(node)
            reached |= set(node.output)
    return tail


def _widen(graph: onnx.GraphProto, tail: list[onnx.NodeProto]) -> None:
    """Insert a cast to float32 before the tail."""
    first = tail[0]
    cast = helper.make_node("Cast", [first.input[0]], [f"{first.input[0]}_float"], name="widen", to=TensorProto.FLOAT)
    place = list(graph.node).index(first)
    graph.node.insert(place, cast)
    graph.node[place + 1].input[0] = cast.output[0]


def _cast_to_half(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def _as_half(tensor: onnx.TensorProto) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore", under="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        largest = float(np.abs(values).max())
        raise GraphError(f"graph: {tensor.name}: found {largest:.3g}, float16 holds up to 65504; stay with fp32")
    if tensor.name.endswith("_scale") and values.min() < SMALLEST_SCALE:
        raise GraphError(
            f"graph: {tensor.name}: found a scale of {values.min():.2g}, expected at least {SMALLEST_SCALE:.2g} "
            "for float16; use --around fp32"
        )
    return numpy_helper.from_array(half, tensor.name)
