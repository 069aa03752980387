"""Multiplications and memory traffic of a bundle's network, counted from its graph."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from bundle import Precision
from export.errors import GraphError
from export.graph.cleanup import cleaned

VIEWS = frozenset({"Concat"})
"""Operators without memory traffic of their own: their inputs are written side by side."""

POINTWISE = frozenset(
    {"Add", "Cast", "Clip", "Div", "Floor", "LeakyRelu", "Mul", "Relu", "Sigmoid", "Sub"}
    | {"DequantizeLinear", "QuantizeLinear"}
)
"""Operators that are fused into the kernel before them, if they read a single activation."""

UNCOUNTED = frozenset({"ConvTranspose", "Einsum", "Gemm", "MatMul"})
"""Operators with multiplications that no network here has."""

TRANSPARENT = VIEWS | {"DequantizeLinear", "QuantizeLinear"}
"""Operators that are looked through to find the tensor in memory."""

Stored = tuple[str, int]
"""A tensor in memory: its name and its ONNX type there."""

NAMES: dict[int, Precision] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16"}


@dataclass(frozen=True)
class KernelWork:
    """One operator with the pointwise operators fused into it."""

    name: str
    macs: int
    """Multiplications with addition."""
    precision: Precision
    """Type of the multiplications; int8 where input and weights come from DequantizeLinear."""
    nbytes: int
    """Activations read, weights read, activations written, each once, in the types that lie in memory."""


@dataclass(frozen=True)
class Work:
    """One run of a network."""

    kernels: tuple[KernelWork, ...]
    fused_nbytes: int
    """Frames and weights read, outputs written, each once: all that moves if every activation stays on the chip."""

    @property
    def macs(self) -> int:
        """Of all kernels."""
        return sum(kernel.macs for kernel in self.kernels)

    @property
    def nbytes(self) -> int:
        """Memory traffic if every kernel reads and writes memory, in bytes."""
        return sum(kernel.nbytes for kernel in self.kernels)


def count_work(model: onnx.ModelProto, batch: int = 1, padding: bool = True) -> Work:
    """Count a bundle's graph for a batch of frames.

    A convolution does batch * out channels * out height * out width * (in channels / groups) * kernel height * kernel
    width multiplications; everything else is left out of the operations, and counts by what it moves.
    padding: whether those with the zeros around the picture count, which engines on processors leave out.
    Raises GraphError for an operator that multiplies in another way.
    """
    return _Counter(_sized(model, batch).graph, padding).work()


def _sized(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """Copy of the graph with every shape inferred."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for value in (*sized.graph.input, *sized.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    return cleaned(sized)


class _Counter:
    """Counts the work of one graph."""

    def __init__(self, graph: onnx.GraphProto, padding: bool) -> None:
        self._graph, self._padding = graph, padding
        self._makers: dict[str, onnx.NodeProto] = {output: node for node in graph.node for output in node.output}
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._sides: dict[str, list[int]] = {}
        self._types: dict[str, int] = {}
        for value in (*graph.input, *graph.output, *graph.value_info):
            tensor = value.type.tensor_type
            self._sides[value.name] = [side.dim_value for side in tensor.shape.dim]
            self._types[value.name] = tensor.elem_type
        for tensor in graph.initializer:
            self._sides[tensor.name], self._types[tensor.name] = list(tensor.dims), tensor.data_type

    def work(self) -> Work:
        heads = [node for node in self._graph.node if self._is_kernel(node)]
        reads = {head.output[0]: self._reads(head) for head in heads}
        outputs = {(value.name, self._types[value.name]) for value in self._graph.output}
        everything = outputs.union(*reads.values())
        written = dict.fromkeys(reads, 0)
        for tensor in everything:
            if tensor[0] in self._makers:
                written[self._head(tensor[0]).output[0]] += self._nbytes(tensor)
        kernels = tuple(self._kernel(head, reads[head.output[0]], written[head.output[0]]) for head in heads)
        frames = {(value.name, self._types[value.name]) for value in self._graph.input}
        ends = outputs | {tensor for tensor in everything if tensor in frames or tensor[0] in self._weights}
        return Work(kernels, sum(map(self._nbytes, ends)))

    def _kernel(self, node: onnx.NodeProto, read: set[Stored], written: int) -> KernelWork:
        nbytes = sum(map(self._nbytes, read)) + written
        return KernelWork(node.name or node.output[0], self._macs(node), self._precision(node), nbytes)

    def _macs(self, node: onnx.NodeProto) -> int:
        if node.op_type in UNCOUNTED:
            raise GraphError(f"graph: found a {node.op_type}, expected convolutions; its operations are not counted")
        if node.op_type != "Conv":
            return 0
        weight, made = self._sides[node.input[1]], self._sides[node.output[0]]  # [out, in / groups, height, width]
        if self._padding:
            return math.prod(made) * math.prod(weight[1:])
        return math.prod(made[:2]) * weight[1] * _taps_inside(node, self._sides[node.input[0]], weight, made)

    def _precision(self, node: onnx.NodeProto) -> Precision:
        maker = self._makers.get(node.input[0])
        if node.op_type == "Conv" and maker is not None and maker.op_type == "DequantizeLinear":
            return "int8"
        return NAMES.get(self._types[node.input[0]], "fp32")

    def _reads(self, head: onnx.NodeProto) -> set[Stored]:
        """Tensors that a kernel reads: its own inputs, and the weights of the pointwise operators fused into it."""
        joined = [
            name
            for node in self._graph.node
            if node.op_type in POINTWISE and not self._is_kernel(node) and self._joins(node, head)
            for name in node.input
            if name in self._weights and self._sides[name]  # a single number travels with the code
        ]
        return {stored for name in (*filter(None, head.input), *joined) for stored in self._stored(name)}

    def _stored(self, name: str, quantised: int | None = None) -> Iterator[Stored]:
        """Tensors in memory behind a tensor: before dequantisation, and before concatenation."""
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in TRANSPARENT:
            yield name, quantised or self._types[name]
            return
        for source in maker.input if maker.op_type in VIEWS else maker.input[:1]:
            yield from self._stored(source, quantised or self._quantised(maker))

    def _quantised(self, node: onnx.NodeProto) -> int | None:
        """The type in memory on either side of the two operators of a quantiser."""
        if node.op_type == "DequantizeLinear":
            return self._types[node.input[0]]
        return self._types[node.output[0]] if node.op_type == "QuantizeLinear" else None

    def _is_kernel(self, node: onnx.NodeProto) -> bool:
        activations = self._activations(node)
        if node.op_type in VIEWS or not activations:
            return False
        starts = activations[0] in {value.name for value in self._graph.input}  # there is no kernel that it could join
        return node.op_type not in POINTWISE or len(activations) > 1 or starts

    def _activations(self, node: onnx.NodeProto) -> list[str]:
        return [name for name in node.input if name and not self._is_constant(name)]

    def _is_constant(self, name: str) -> bool:
        maker = self._makers.get(name)
        return name in self._weights or (maker is not None and all(map(self._is_constant, filter(None, maker.input))))

    def _head(self, name: str) -> onnx.NodeProto:
        """Operator whose kernel computes a tensor."""
        node: onnx.NodeProto = self._makers[name]
        while not self._is_kernel(node):
            node = self._makers[self._activations(node)[0]]
        return node

    def _joins(self, node: onnx.NodeProto, head: onnx.NodeProto) -> bool:
        return bool(self._activations(node)) and self._head(node.output[0]).output[0] == head.output[0]

    def _nbytes(self, tensor: Stored) -> int:
        name, elem_type = tensor
        return math.prod(self._sides[name]) * int(helper.tensor_dtype_to_np_dtype(elem_type).itemsize)


def _taps_inside(node: onnx.NodeProto, read: list[int], weight: list[int], made: list[int]) -> int:
    """Pairs of an output pixel and a place of the kernel that lies in the picture. Raises GraphError for `auto_pad`."""
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise GraphError(f"{node.name}: found auto_pad, expected pads; its operations are not counted")
    pads, strides, dilations = (given.get(name, none) for name, none in _UNGIVEN.items())
    counted = 1
    for axis in range(2):
        first = [place * strides[axis] - pads[axis] for place in range(made[2 + axis])]
        reached = [start + tap * dilations[axis] for start in first for tap in range(weight[2 + axis])]
        counted *= sum(0 <= place < read[2 + axis] for place in reached)
    return counted


_UNGIVEN: dict[str, list[int]] = {"pads": [0, 0, 0, 0], "strides": [1, 1], "dilations": [1, 1]}
"""Attributes of a convolution where the graph has none."""
