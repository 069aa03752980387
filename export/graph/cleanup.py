"""Cleanup of ONNX graphs: stable names, no metadata, no BatchNormalization."""

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper

_PREFIX = "body."


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a cleaned copy with stable names and without BatchNormalization.

    One that torch could not fold into the convolution before it (DenseNet's follow a concatenation) becomes a
    multiplication and an addition.
    A convolution is named after its module (`layers.3.0`), where several share its weights with a number
    (`layers.3.0.2`), another node by its operator and number (`leakyrelu4`), a tensor after the node that computes it.
    """
    tidy = onnx.ModelProto()
    tidy.CopyFrom(model)
    _plain_normalisations(tidy.graph)
    _rename(tidy.graph)
    return cleaned(tidy)


def cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without metadata of machine and tools, with newly inferred shapes."""
    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    _strip(clean)
    clean.producer_name, clean.producer_version = "edge-inspect", ""
    return onnx.shape_inference.infer_shapes(clean, strict_mode=True, data_prop=True)


def to_bytes(model: onnx.ModelProto) -> bytes:
    """Serialise; the same graph gives the same bytes."""
    return bytes(model.SerializeToString(deterministic=True))


def _strip(model: onnx.ModelProto) -> None:
    graph = model.graph
    for place in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        place.ClearField("metadata_props")
        place.ClearField("doc_string")
    graph.ClearField("value_info")
    graph.name = "network"


def _plain_normalisations(graph: onnx.GraphProto) -> None:
    values = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        gain, bias, mean, variance = (numpy_helper.to_array(values[name]).astype(np.float64) for name in node.input[1:])
        scale = gain / np.sqrt(variance + epsilon)
        between, (source, out) = f"{node.output[0]}_scaled", (node.input[0], node.output[0])
        for name, factor in ((f"{out}.scale", scale), (f"{out}.shift", bias - mean * scale)):
            graph.initializer.append(numpy_helper.from_array(factor.astype(np.float32).reshape(1, -1, 1, 1), name))
        place = list(graph.node).index(node)
        graph.node.remove(node)
        graph.node.insert(place, helper.make_node("Add", [between, f"{out}.shift"], [out]))
        graph.node.insert(place, helper.make_node("Mul", [source, f"{out}.scale"], [between]))
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _rename(graph: onnx.GraphProto) -> None:
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for tensor in graph.initializer:
        names[tensor.name] = tensor.name = tensor.name.removeprefix(_PREFIX)
    counts: Counter[str] = Counter()
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.name = _node_name(node, counts)
        for place, name in enumerate(node.output):
            names.setdefault(name, node.name if place == 0 else f"{node.name}.{place}")
        node.output[:] = [names[name] for name in node.output]


def _node_name(node: onnx.NodeProto, counts: Counter[str]) -> str:
    if node.op_type == "Conv" and node.input[1].endswith(".weight"):
        layer = str(node.input[1].removesuffix(".weight"))
        counts[layer] += 1
        return layer if counts[layer] == 1 else f"{layer}.{counts[layer]}"
    counts[node.op_type] += 1
    return f"{node.op_type.lower()}{counts[node.op_type]}"
