"""INT8 quantisation by explicit Q/DQ nodes that TensorRT can parse and fuse.

Inputs and weights of convolutions are quantised: symmetric, zero-point 0, one scale per tensor, for weights one per
output channel (axis 0). Biases and outputs of convolutions stay in float, so that the activation and whatever follows
fuse up to the next Q. The convolutions that make the graph's outputs stay in float.
Weights have 7 bits by default: without VNNI, x86-64 processors add pairs of 8-bit products in 16 bits (VPMADDUBSW in
the Intel 64 manual), which saturate beyond 32767. Two products of a byte and a weight reach 2 * 255 * 64 = 32640 with
7 bits, and 2 * 255 * 127 = 64770 with 8.
onnxruntime inserts the nodes; the ranges of activations are ours. Its default output, with quantised biases, does not
parse in TensorRT; the options below do (measured with the parser of TensorRT-RTX 1.7.1).
"""

import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from export.graph.cleanup import cleaned
from export.graph.signature import FRAMES

WeightBits = Literal[7, 8]
SAFE_WEIGHT_BITS: WeightBits = 7
"""Bits of quantised weights whose products saturate on no processor."""


def convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Every convolution, in the order of the graph."""
    return [node for node in model.graph.node if node.op_type == "Conv"]


def quantisable(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions that may be quantised: all but those that compute the outputs."""
    last = _makers_of_outputs(model)
    return [node.name for node in convolutions(model) if node.name not in last]


def activations_of(model: onnx.ModelProto, layers: Collection[str]) -> list[str]:
    """Input tensors of these convolutions, each once, in the order of the graph."""
    return list(dict.fromkeys(node.input[0] for node in convolutions(model) if node.name in layers))


def quantised(
    model: onnx.ModelProto,
    layers: Collection[str],
    ranges: Mapping[str, float],
    weight_bits: WeightBits = SAFE_WEIGHT_BITS,
) -> onnx.ModelProto:
    """Return a copy of a float graph with Q/DQ nodes around these convolutions.

    ranges: for each tensor that one of them reads, the magnitude that becomes 127; see `tied`.
    """
    chosen = {name: ranges[name] for name in activations_of(model, layers)}
    overrides = {
        name: [{"rmin": np.float32(-top), "rmax": np.float32(top), "symmetric": True}] for name, top in chosen.items()
    }
    spare = onnx.ModelProto()
    spare.CopyFrom(model)  # quantize_static moves the weights of what it is given into files
    with tempfile.TemporaryDirectory() as folder, _quiet():
        out = Path(folder) / "quantised.onnx"
        quantize_static(
            spare,
            str(out),
            _OneFrame(model),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=sorted(layers),
            per_channel=True,
            reduce_range=weight_bits == 7,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,  # TensorRT refuses int32 DequantizeLinear
                "OpTypesToExcludeOutputQuantization": ["Conv"],
                "TensorQuantOverrides": overrides,
            },
        )
        return cleaned(onnx.load(out))


def tied(model: onnx.ModelProto, ranges: Mapping[str, float]) -> dict[str, float]:
    """Give a concatenation and its inputs one range, the widest of them.

    An input that another convolution reads is then not rounded twice, and a concatenation with equal scales can run in
    INT8.
    """
    common = dict(ranges)
    for node in model.graph.node:
        if node.op_type == "Concat" and node.output[0] in common:
            joined = [name for name in (*node.input, node.output[0]) if name in common]
            common |= dict.fromkeys(joined, max(common[name] for name in joined))
    return common


def quantised_layers(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions whose input and weight both come from an INT8 DequantizeLinear."""
    makers = {output: node for node in model.graph.node for output in node.output}
    return [
        node.name
        for node in convolutions(model)
        if all(name in makers and makers[name].op_type == "DequantizeLinear" for name in node.input[:2])
    ]


def _makers_of_outputs(model: onnx.ModelProto) -> set[str]:
    """Names of the last convolutions before the outputs."""
    makers = {output: node for node in model.graph.node for output in node.output}
    waiting, seen, found = [value.name for value in model.graph.output], set[str](), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in makers:
            continue
        seen.add(name)
        node = makers[name]
        if node.op_type == "Conv":
            found.add(node.name)
        else:
            waiting.extend(node.input)
    return found


class _OneFrame(CalibrationDataReader):  # type: ignore[misc]
    """One black frame, which onnxruntime requires; no range is computed from it."""

    def __init__(self, model: onnx.ModelProto):
        sides = [side.dim_value or 1 for side in model.graph.input[0].type.tensor_type.shape.dim]
        self._left: Iterator[dict[str, Any]] = iter([{FRAMES: np.zeros(sides, np.uint8)}])

    def get_next(self) -> dict[str, Any] | None:
        """The frame, then None."""
        return next(self._left, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress onnxruntime's advice about preprocessing, which does not apply."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
