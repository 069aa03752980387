"""A graph as people and diffs like it: stable names, with nothing in it but the network."""

from collections import Counter

import onnx

_PREFIX = "body."


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph cleaned, under stable names.

    A convolution bears the name of its module (`layers.3.0`), any other node its operator and number
    (`leakyrelu4`); a tensor bears the name of the node that makes it.
    """
    tidy = onnx.ModelProto()
    tidy.CopyFrom(model)
    _rename(tidy.graph)
    return cleaned(tidy)


def cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph without traces of the machine and tools that made it, with its shapes inferred anew."""
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
        return str(node.input[1].removesuffix(".weight"))
    counts[node.op_type] += 1
    return f"{node.op_type.lower()}{counts[node.op_type]}"
